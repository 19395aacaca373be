import type { AuditReport } from '@keyturn/core'
import { count, number } from './words.ts'

const faults: Record<NonNullable<AuditReport['fault']>['reason'], string> = {
  sequence: 'its number does not follow the one before: an event was removed or inserted',
  previous: 'it does not follow the event before it: one of them was changed, removed or moved',
  hash: 'it was changed after it was written',
  head: 'the log does not hold the expected head: it was cut short, or written anew',
}

/** What a look at the audit log found. */
export function auditScreen({ intact, events, head, fault }: AuditReport, expected: boolean): string {
  if (!intact && fault !== null) {
    return [
      `The audit log is not intact. Event ${number(fault.seq)}: ${faults[fault.reason]}.`,
      `Intact up to ${head}`,
      'Do not repair it: compare it with an export or a checkpoint that was kept elsewhere.',
    ].join('\n')
  }
  return [
    `${count(events, 'event')}, each follows the one before${expected ? ', and the expected head is among them' : ''}.`,
    `Head ${head}`,
    ...(expected
      ? []
      : ['Whoever can write the database can write the log anew: --expect compares it with a head that was kept elsewhere.']),
  ].join('\n')
}
