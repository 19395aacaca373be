import type { SqlState } from './sql.ts'

/** Where fields stood when values of a keyring were first written under their names. Values may still stand there. */
export async function firstPlaces(
  state: SqlState,
  keyring: string,
): Promise<readonly { readonly name: string; readonly location: string }[]> {
  const { rows } = await state.query(
    `SELECT name, location FROM ${state.schema}.field WHERE keyring = $1::text ORDER BY name COLLATE "C"`,
    [keyring],
  )
  return rows.map(({ name, location }) => ({ name: String(name), location: String(location) }))
}
