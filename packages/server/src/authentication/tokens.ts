import { randomUUID } from 'node:crypto'
import { fail } from '@keyturn/core'
import type { Role } from '../access.ts'
import { wrongInput } from '../problem.ts'
import { utc } from '../state/time.ts'
import { drawToken, isToken } from './api-token.ts'
import { type Ground, record, textOrNull, time } from './ground.ts'
import { fold } from './password.ts'
import { hashOf } from './secret.ts'

/** An API token as lists show it: without its secret, which is stored nowhere. */
export interface ApiToken {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly createdAt: string
  readonly createdBy: string
  readonly expiresAt: string | null
  readonly lastUsedAt: string | null
}
/** What a new token is made of. */
export interface NewToken {
  readonly name: string
  readonly role: Role
  readonly expiresAt: string | null
}

const columns = `id, name, role, ${utc('created_at')}, created_by, ${utc('expires_at')}, ${utc('last_used_at')}`

const toToken = (row: Record<string, unknown>): ApiToken => ({
  id: String(row.id),
  name: String(row.name),
  role: String(row.role) as Role,
  createdAt: String(row.created_at),
  createdBy: String(row.created_by),
  expiresAt: textOrNull(row.expires_at),
  lastUsedAt: textOrNull(row.last_used_at),
})

/** Tokens by their names, from the one after `after` on; expired ones too, until they are revoked. */
export async function listTokens({ state }: Ground, after: string, limit: number): Promise<readonly ApiToken[]> {
  const { rows } = await state.query(
    `SELECT ${columns} FROM ${state.schema}.api_token WHERE folded COLLATE "C" > $1::text ORDER BY folded COLLATE "C" LIMIT $2::text::bigint`,
    [after, String(limit)],
  )
  return rows.map(toToken)
}

/**
 * Makes a token. Its secret is shown once, here.
 *
 * @throws `ERR_NAME_TAKEN`, or `ERR_INPUT` for one that would have expired already
 */
export async function createToken(
  ground: Ground,
  actor: string,
  { name, role, expiresAt }: NewToken,
): Promise<ApiToken & { readonly secret: string }> {
  const { state, now } = ground
  const secret = drawToken()
  return await state.transaction(async (sql) => {
    const { rows: times } = await sql.query(`SELECT $1::text::timestamptz <= ${time('$2')} AS over`, [expiresAt, now()])
    if (times[0]?.over === true) throw wrongInput('/expiresAt', 'it is in the past')
    const { rows } = await sql.query(
      `INSERT INTO ${state.schema}.api_token (id, name, folded, hash, role, created_at, created_by, expires_at)
       VALUES ($1::text, $2::text, $3::text, decode($4::text, 'hex'), $5::text, ${time('$6')}, $7::text, $8::text::timestamptz)
       ON CONFLICT (folded) DO NOTHING RETURNING ${columns}`,
      [randomUUID(), name, fold(name), hashOf(secret), role, now(), actor, expiresAt],
    )
    if (rows[0] === undefined) throw fail('ERR_NAME_TAKEN', 'token', name)
    const token = toToken(rows[0])
    await record(sql, ground, { actor, action: 'token.create', subject: `token/${token.id}`, data: { name, role, expiresAt } })
    return { ...token, secret }
  })
}

/** Ends a token: from the next request on. @throws `ERR_UNKNOWN_NAME` */
export async function revokeToken(ground: Ground, actor: string, id: string): Promise<void> {
  await ground.state.transaction(async (sql) => {
    const { rows } = await sql.query(`DELETE FROM ${ground.state.schema}.api_token WHERE id = $1::text RETURNING name, role`, [id])
    if (rows[0] === undefined) throw fail('ERR_UNKNOWN_NAME', 'token', id, '')
    const data = { name: String(rows[0].name), role: String(rows[0].role) }
    await record(sql, ground, { actor, action: 'token.revoke', subject: `token/${id}`, data })
  })
}

/**
 * Whose token it is; null: nobody's, or it is over. Looked up at each request, so that a revoked one ends at once on every server; that it was used
 * is written at most once a minute.
 */
export async function tokenCaller({ state, now }: Ground, secret: string): Promise<Pick<ApiToken, 'id' | 'name' | 'role'> | null> {
  if (!isToken(secret)) return null
  const { schema } = state
  const { rows } = await state.query(
    `SELECT id, name, role, coalesce(last_used_at < ${time('$2')} - interval '1 minute', true) AS stale FROM ${schema}.api_token
     WHERE hash = decode($1::text, 'hex') AND (expires_at IS NULL OR expires_at > ${time('$2')})`,
    [hashOf(secret), now()],
  )
  const [row] = rows
  if (row === undefined) return null
  const id = String(row.id)
  if (row.stale === true) await state.query(`UPDATE ${schema}.api_token SET last_used_at = ${time('$2')} WHERE id = $1::text`, [id, now()])
  return { id, name: String(row.name), role: String(row.role) as Role }
}
