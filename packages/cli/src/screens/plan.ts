import type { Plan } from '@keyturn/core'
import { count, duration, section, size, table } from './words.ts'

/** What a plan says, for a person. */
export function planScreen(plan: Plan): string {
  const fields = plan.fields.map(({ field, column, writes, reads, bound, sampled, opened, current }) => [
    field,
    column,
    `${[...new Set(reads)].join(', ')} → ${writes}`,
    bound.length === 0 ? 'nothing' : bound.join(', '),
    sampled === 0 ? 'no values' : `${opened} of ${sampled}`,
    current,
  ])
  const tables = plan.tables.map(({ table: name, rows, bytes, key }) => [
    name,
    `about ${count(rows, 'row')}`,
    size(bytes),
    `by ${key.join(', ')}`,
  ])
  return [
    `Plan: keyring "${plan.keyring}", mode ${plan.mode}, about ${count(plan.values, 'value')}, ${duration(plan.seconds)}`,
    '',
    table(['field', 'column', 'format', 'bound to', 'opens', 'current'], fields),
    '',
    table(['table', 'rows', 'size', 'walked'], tables),
    ...section(
      'Steps',
      plan.steps.map((step, index) => `${index + 1}. ${step}`),
    ),
    ...section('What Keyturn creates in the database', plan.creates),
    ...section('To know', plan.warnings),
    ...section(
      'What else hangs on the same key',
      plan.alsoUsedFor.map(({ what, becomes }) => `${what}: ${becomes}`),
    ),
    ...section('Must be accepted (--yes)', plan.mustAccept),
  ].join('\n')
}
