import type { TokenCount, TokenCounts } from '../signing/token-ledger.ts'
import type { SqlState } from './sql.ts'

const utc = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** Counts of tokens, in our own tables. A row for each key, kind and bucket, with the latest time in it; expired ones are deleted as others come. */
export function sqlTokenCounts(state: SqlState): TokenCounts {
  const { schema } = state
  return {
    add: async (counts) => {
      await state.query(
        `INSERT INTO ${schema}.token_count AS t (keyring, version_id, what, kind, bucket, at, count)
         SELECT x.keyring, x."versionId", x.what, x.kind, x.bucket, x.at, x.count
         FROM jsonb_to_recordset($1::text::jsonb) AS x(keyring text, "versionId" text, what text, kind text, bucket timestamptz,
           at timestamptz, count bigint)
         ORDER BY x.keyring, x."versionId", x.what, x.kind, x.bucket
         ON CONFLICT (keyring, version_id, what, kind, bucket) DO UPDATE
         SET count = t.count + excluded.count, at = greatest(t.at, excluded.at)`,
        [JSON.stringify(counts)],
      )
      await state.query(`DELETE FROM ${schema}.token_count WHERE what = 'signed' AND at < clock_timestamp()`)
    },
    list: async (keyring) => {
      const { rows } = await state.query(
        `SELECT version_id, what, kind, sum(count)::text AS count, ${utc('max(at)')} AS at FROM ${schema}.token_count
         WHERE keyring = $1::text AND (what <> 'signed' OR at >= clock_timestamp())
         GROUP BY version_id, what, kind ORDER BY version_id, what, kind`,
        [keyring],
      )
      return rows.map((row) => ({
        keyring,
        versionId: String(row.version_id),
        what: String(row.what) as TokenCount['what'],
        kind: String(row.kind),
        at: new Date(String(row.at)),
        count: Number(row.count),
      }))
    },
  }
}
