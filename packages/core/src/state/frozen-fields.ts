import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import { printReference } from '../field/reference.ts'
import type { SqlState } from './sql.ts'

/**
 * Keeps the names of fields and what they are bound to from their first use on. Another location is a move and legal; another binding
 * would leave values that nothing opens. A field that was renamed is bound as it was under its older names.
 *
 * @throws `ERR_BIND_CHANGED`; nothing is kept of any of them then, unless another process was faster with one
 */
export async function freezeFields(state: SqlState, fields: readonly Field[]): Promise<void> {
  const frozen = await assertBindings(state, fields)
  const others = fields.filter(({ name }) => !frozen.has(name))
  for (const { name, keyring, location, bind } of others) {
    await state.query(
      `INSERT INTO ${state.schema}.field (name, keyring, location, bind) VALUES ($1::text, $2::text, $3::text, $4::text::jsonb) ON CONFLICT (name) DO NOTHING`,
      [name, keyring.name, printReference(location), JSON.stringify(bind)],
    )
  }
  if (others.length > 0) await assertBindings(state, others)
}

/** @returns the names that are kept already */
async function assertBindings(state: SqlState, fields: readonly Field[]): Promise<Set<string>> {
  const names = fields.flatMap(({ name, was }) => [name, ...was])
  const { rows } = await state.query(
    `SELECT name, bind::text AS bind FROM ${state.schema}.field WHERE name IN (SELECT jsonb_array_elements_text($1::text::jsonb))`,
    [JSON.stringify(names)],
  )
  const frozen = new Map(rows.map(({ name, bind }) => [String(name), JSON.parse(String(bind)) as Field['bind']]))
  const print = (bind: Field['bind']) => bind.map(({ column, type }) => `${column} ${type}`).join(', ')
  for (const field of fields) {
    for (const name of [field.name, ...field.was]) {
      const bind = frozen.get(name)
      if (bind !== undefined && print(bind) !== print(field.bind))
        throw fail('ERR_BIND_CHANGED', field.name, print(bind), print(field.bind))
    }
  }
  return new Set(frozen.keys())
}
