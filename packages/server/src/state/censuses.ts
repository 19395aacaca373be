import type { Census, SqlState } from '@keyturn/core'
import { utc } from './time.ts'

/** The latest census of a keyring. */
export interface KeptCensus {
  readonly at: string
  readonly census: Census
}

/** The latest census of each keyring. */
export async function keptCensuses({ query, schema }: SqlState): Promise<ReadonlyMap<string, KeptCensus>> {
  const { rows } = await query(`SELECT keyring, ${utc('at')}, body FROM ${schema}.census`)
  return new Map(rows.map(({ keyring, at, body }) => [String(keyring), { at: String(at), census: JSON.parse(String(body)) as Census }]))
}

/** Keeps a census in place of the one before. */
export async function keepCensus({ query, schema }: SqlState, keyring: string, census: Census): Promise<void> {
  await query(
    `INSERT INTO ${schema}.census (keyring, at, body) VALUES ($1::text, clock_timestamp(), $2::text)
     ON CONFLICT (keyring) DO UPDATE SET at = excluded.at, body = excluded.body`,
    [keyring, JSON.stringify(census)],
  )
}
