import { createHash } from 'node:crypto'
import type { ErrorCode } from '../errors.ts'
import type { Lease, SetAside } from '../rotation/run.ts'
import type { Sql } from './sql.ts'

/** The columns of a row's key in one order, whatever order they came in, and where in the row the value stands. */
function placeText({ row, path = '' }: SetAside): string {
  return JSON.stringify([Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)), path])
}

/** Adds values to the list of a run; one that is there already gets the new pass and reason. One statement for all of them. */
export async function saveSetAside(sql: Sql, schema: string, lease: Lease, values: readonly SetAside[]): Promise<void> {
  if (values.length === 0) return
  const rows = new Map<string, object>()
  for (const value of values) {
    const { field, row, path = '', reason, digest } = value
    const hash = createHash('sha256').update(placeText(value)).digest('hex')
    rows.set(`${field}\n${hash}`, { field, hash, row, path, reason, digest: Buffer.from(digest).toString('hex') })
  }
  await sql.query(
    `INSERT INTO ${schema}.set_aside (rotation_id, field, row_hash, row_key, path, reason, digest, pass)
     SELECT r.id, x.field, decode(x.hash, 'hex'), x."row", x.path, x.reason, decode(x.digest, 'hex'), (r.progress->>'pass')::integer
     FROM ${schema}.rotation r, jsonb_to_recordset($2::text::jsonb) AS x(field text, hash text, "row" jsonb, path text, reason text, digest text)
     WHERE r.id = $1::text
     ON CONFLICT (rotation_id, field, row_hash)
     DO UPDATE SET row_key = excluded.row_key, reason = excluded.reason, digest = excluded.digest, pass = excluded.pass`,
    [lease.rotationId, JSON.stringify([...rows.values()])],
  )
}

/** The values set aside in the pass that the run's progress names: those of earlier passes have opened or gone since. */
export async function listSetAside(sql: Sql, schema: string, id: string, limit: number): Promise<{ total: number; values: SetAside[] }> {
  const { rows } = await sql.query(
    `SELECT s.field, s.row_key::text AS row_key, s.path, s.reason, encode(s.digest, 'hex') AS digest, (count(*) OVER ())::text AS total
     FROM ${schema}.set_aside s JOIN ${schema}.rotation r ON r.id = s.rotation_id AND s.pass = (r.progress->>'pass')::integer
     WHERE s.rotation_id = $1::text ORDER BY s.field, s.row_key, s.path LIMIT $2::text::bigint`,
    [id, String(Math.max(limit, 1))],
  )
  const values = rows.slice(0, limit).map((row) => ({
    field: String(row.field),
    row: JSON.parse(String(row.row_key)),
    ...(row.path === '' ? {} : { path: String(row.path) }),
    reason: String(row.reason) as ErrorCode,
    digest: new Uint8Array(Buffer.from(String(row.digest), 'hex')),
  }))
  return { total: Number(rows[0]?.total ?? 0), values }
}
