import type { Field } from './field.ts'

/**
 * What tells that all values of a field in a text are current: the text has `any`, and has it nowhere but at the beginning of `current`. Null
 * where a format is read whose values do not say which key they are under, or say it otherwise.
 */
export function currentMark(field: Field): { readonly any: string; readonly current: string } | null {
  const { active } = field.keyring.snapshot
  const current = field.currentPrefix()
  const at = typeof current === 'string' ? current.indexOf(active.id) : -1
  if (typeof current !== 'string' || at <= 0) return null
  // What stands before the id of the key is what the values of every key begin with.
  const any = current.slice(0, at)
  const alike = field.reads.every(({ codec }) => {
    const prefix = codec.prefixOf(active)
    return typeof prefix === 'string' && prefix.startsWith(any)
  })
  return alike ? { any, current } : null
}
