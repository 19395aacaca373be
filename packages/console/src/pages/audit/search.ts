import type { AuditFilter } from '../../api/audit.ts'

const names = ['actor', 'action', 'subject', 'from', 'to'] as const

/** The filter of the audit page, as its address holds it. What is foreign is left out. */
export function auditSearch(found: Record<string, unknown>): AuditFilter {
  return Object.fromEntries(names.flatMap((name) => (typeof found[name] === 'string' && found[name] !== '' ? [[name, found[name]]] : [])))
}

/** Days of the filter as times: from the beginning of the first to the end of the last. */
export function asTimes({ from, to, ...rest }: AuditFilter): AuditFilter {
  const at = (day: string | undefined, time: string) => {
    const date = new Date(`${day}T${time}`)
    return day === undefined || Number.isNaN(date.getTime()) ? undefined : date.toISOString()
  }
  return { ...rest, from: at(from, '00:00:00.000'), to: at(to, '23:59:59.999') }
}
