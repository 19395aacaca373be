import { fail } from '../errors.ts'
import type { RotationState, Run, SetAside } from '../rotation/run.ts'
import { runColumns, toRun } from './run-store.ts'
import type { SqlState } from './sql.ts'

/** A run, and what stands beside it. */
export interface ListedRun {
  readonly run: Run
  /** Whether some process holds its lease. */
  readonly live: boolean
  /** Values set aside in its latest pass. */
  readonly setAside: number
  readonly hasCertificate: boolean
  /** Who began it, by the audit log. */
  readonly startedBy: string | null
}
/** Which runs are meant. */
export interface RunFilter {
  readonly id?: string
  readonly keyring?: string
  readonly state?: RotationState
  readonly limit: number
  readonly after?: string
}

/** Some runs, the newest first. @throws `ERR_USAGE` when `after` is no place in the list */
export async function listRuns(
  state: SqlState,
  { id, keyring, state: standing, limit, after }: RunFilter,
): Promise<{ readonly items: readonly ListedRun[]; readonly next: string | null }> {
  const { schema } = state
  const [at, from] = after === undefined ? [null, null] : place(after, 2)
  if (at !== null && Number.isNaN(Date.parse(at ?? ''))) throw noPlace()
  const { rows } = await state.query(
    `SELECT ${runColumns}, coalesce(r.lease_until > clock_timestamp(), false) AS live,
       (SELECT count(*)::text FROM ${schema}.set_aside s WHERE s.rotation_id = r.id AND s.pass = (r.progress->>'pass')::integer) AS set_aside,
       EXISTS (SELECT FROM ${schema}.certificate c WHERE c.subject = 'rotation/' || r.id) AS has_certificate,
       (SELECT e.actor FROM ${schema}.audit_event e WHERE e.subject = 'rotation/' || r.id AND e.action = 'rotation.plan'
        ORDER BY e.seq LIMIT 1) AS started_by
     FROM ${schema}.rotation r
     WHERE ($1::text IS NULL OR r.id = $1::text) AND ($2::text IS NULL OR r.keyring = $2::text) AND ($3::text IS NULL OR r.state = $3::text)
       AND ($4::text IS NULL OR (r.created_at, r.id) < ($4::text::timestamptz, $5::text))
     ORDER BY r.created_at DESC, r.id DESC LIMIT $6::text::bigint`,
    [id ?? null, keyring ?? null, standing ?? null, at, from, String(limit + 1)],
  )
  const items = rows.slice(0, limit).map(
    (row): ListedRun => ({
      run: toRun(row),
      live: row.live === true,
      setAside: Number(row.set_aside),
      hasCertificate: row.has_certificate === true,
      startedBy: row.started_by === null ? null : String(row.started_by),
    }),
  )
  const last = items.at(-1)?.run
  return { items, next: rows.length > limit && last !== undefined ? placeText([last.createdAt.toISOString(), last.id]) : null }
}

/** Some of the values set aside in the latest pass of a run, and how many there are. @throws `ERR_USAGE` when `after` is no place in the list */
export async function pageSetAside(
  state: SqlState,
  id: string,
  { limit, after }: { readonly limit: number; readonly after?: string },
): Promise<{ readonly items: readonly Omit<SetAside, 'digest'>[]; readonly next: string | null }> {
  const [field, row, path] = after === undefined ? [null, null, null] : place(after, 3)
  const { rows } = await state.query(
    `SELECT s.field, s.row_key::text AS row_key, s.path, s.reason
     FROM ${state.schema}.set_aside s JOIN ${state.schema}.rotation r ON r.id = s.rotation_id AND s.pass = (r.progress->>'pass')::integer
     WHERE s.rotation_id = $1::text
       AND ($2::text IS NULL OR (s.field, s.row_key, s.path) > ($2::text, $3::text::jsonb, $4::text))
     ORDER BY s.field, s.row_key, s.path LIMIT $5::text::bigint`,
    [id, field, row, path, String(limit + 1)],
  )
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    items: shown.map((found) => ({
      field: String(found.field),
      row: JSON.parse(String(found.row_key)),
      ...(found.path === '' ? {} : { path: String(found.path) }),
      reason: String(found.reason) as SetAside['reason'],
    })),
    next: rows.length > limit && last !== undefined ? placeText([last.field, last.row_key, last.path]) : null,
  }
}

const noPlace = () => fail('ERR_USAGE', '"after" is no place in this list')
const placeText = (parts: readonly unknown[]): string => Buffer.from(JSON.stringify(parts.map(String))).toString('base64url')

/** What `placeText` wrote. */
function place(text: string, parts: number): string[] {
  try {
    const found: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    if (Array.isArray(found) && found.length === parts && found.every((part) => typeof part === 'string')) {
      if (parts === 3) JSON.parse(String(found[1]))
      return found
    }
  } catch {
    // Somebody made it up.
  }
  throw noPlace()
}
