import type { Census, FieldCensus } from '@keyturn/core'
import { count, number, table } from './words.ts'

/** How many values stand under which format and key. */
export function censusScreen({ fields }: Census): string {
  const total = fields.reduce((sum, field) => sum + field.total, 0)
  const current = fields.flatMap(({ groups }) => groups).reduce((sum, group) => sum + (group.current ? group.values : 0), 0)
  return [
    `${count(total, 'value')} counted: ${number(current)} current.`,
    '',
    table(['field', 'format', 'key', 'state', 'values', 'current'], fields.flatMap(rowsOf)),
  ].join('\n')
}

function rowsOf({ field, groups, unreadable, kept, unencrypted = 0, total }: FieldCensus): (string | number)[][] {
  const rows = groups.map(({ codec, keyId, state, values, current, knownToAll }) => [
    field,
    codec,
    `${keyId ?? ''}${knownToAll ? ', all zeros: everybody knows it' : ''}`,
    state ?? '',
    values,
    current ? 'yes' : 'no',
  ])
  if (unreadable > 0) rows.push([field, 'no format of the field fits', '', '', unreadable, 'no'])
  if (kept > 0) rows.push([field, 'kept as declared', '', '', kept, ''])
  if (unencrypted > 0) rows.push([field, 'not encrypted, no value', '', '', unencrypted, ''])
  return total === 0 && rows.length === 0 ? [[field, 'no values', '', '', 0, '']] : rows
}
