import type { ProgressReport, SqlState } from '@keyturn/core'

/** How old a report may be of which is said how fast a rotation is: processes send one a second. */
const freshSeconds = 10

/** Keeps the latest look of the process that runs a rotation, so that every server can tell how fast it is. */
export async function keepReport({ query, schema }: SqlState, { rotationId, ...report }: ProgressReport): Promise<void> {
  await query(
    `INSERT INTO ${schema}.rotation_report (rotation_id, at, body) VALUES ($1::text, clock_timestamp(), $2::text)
     ON CONFLICT (rotation_id) DO UPDATE SET at = excluded.at, body = excluded.body`,
    [rotationId, JSON.stringify(report)],
  )
}

/** The fresh reports of some rotations. */
export async function freshReports({ query, schema }: SqlState, ids: readonly string[]): Promise<ReadonlyMap<string, ProgressReport>> {
  if (ids.length === 0) return new Map()
  const { rows } = await query(
    `SELECT rotation_id, body FROM ${schema}.rotation_report
     WHERE rotation_id IN (SELECT jsonb_array_elements_text($1::text::jsonb)) AND at > clock_timestamp() - interval '${freshSeconds} seconds'`,
    [JSON.stringify(ids)],
  )
  return new Map(rows.map(({ rotation_id: id, body }) => [String(id), { rotationId: String(id), ...JSON.parse(String(body)) }]))
}
