import { randomBytes } from 'node:crypto'
import type { SqlState } from './sql.ts'

/**
 * Keys that our own state keeps: see `Database.keptKey`. Processes that make the same one together get the same one.
 *
 * @param hasState - whether our tables are there
 */
export function keptKeys(state: SqlState, hasState: () => Promise<boolean>): (name: string, make: boolean) => Promise<Uint8Array> {
  const passing = new Map<string, Uint8Array>()
  return async (name, make) => {
    const kept = (await hasState()) ? await keptKey(state, name, make) : null
    if (kept !== null) return kept
    const own = passing.get(name) ?? randomBytes(32)
    passing.set(name, own)
    return own
  }
}

async function keptKey(state: SqlState, name: string, make: boolean): Promise<Uint8Array | null> {
  const { schema } = state
  if (make) {
    await state.query(
      `INSERT INTO ${schema}.setting (name, value) VALUES ($1::text, decode($2::text, 'hex')) ON CONFLICT (name) DO NOTHING`,
      [name, randomBytes(32).toString('hex')],
    )
  }
  const { rows } = await state.query(`SELECT encode(value, 'hex') AS value FROM ${schema}.setting WHERE name = $1::text`, [name])
  return rows[0] === undefined ? null : Buffer.from(String(rows[0].value), 'hex')
}
