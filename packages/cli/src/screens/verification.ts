import type { Verification } from '@keyturn/core'
import { failedList } from './rotation.ts'
import { count, number, section, table } from './words.ts'

/** What a verification found. */
export function verificationScreen(found: Verification): string {
  const { total, current, other, failedCount, setAside, fields, fences } = found
  const rows = fields.map((field) => [field.field, field.total, field.current, field.other, field.failedCount])
  const faults = failedCount - setAside
  const verdict =
    faults > 0
      ? `${count(faults, 'value')} do${faults === 1 ? 'es' : ''} not open.`
      : other + setAside > 0
        ? `${number(other)} under another key or format, ${number(setAside)} set aside.`
        : 'Every value is current.'
  return [
    `${count(total, 'value')} opened and counted: ${number(current)} current. ${verdict}`,
    '',
    table(['field', 'values', 'current', 'other key or format', 'do not open'], rows),
    ...section(
      'Not encrypted, and so no values: strings in documents of fields that take only what is encrypted',
      fields.flatMap(({ field, unencrypted = 0 }) => (unencrypted === 0 ? [] : [`${field}  ${number(unencrypted)}`])),
    ),
    ...failedList(found.failed, failedCount),
    ...section(
      'Fences that are missing: the database does not refuse these keys any more; "keyturn retire" puts them back',
      fences.missing.map(({ table: name, column, keyId }) => `${name}.${column}  key ${keyId}`),
    ),
  ].join('\n')
}
