import type { Sql } from '@keyturn/core'
import type { Role } from '../access.ts'
import { type Ground, time } from './ground.ts'
import { drawSecret, hashOf, isSecret } from './secret.ts'

/** A session ends so long after its last request, and so long after it began whatever happens. */
export const sessionHours = { idle: 1, life: 12 }
const idle = `interval '${sessionHours.idle} hours'`
const life = `interval '${sessionHours.life} hours'`

/** Who a session is of. */
export interface SessionUser {
  readonly id: string
  readonly name: string
  readonly role: Role
}

/** Begins a session within the caller's transaction. @returns its secret, which stands in the cookie and nowhere else */
export async function beginSession(sql: Sql, { state, now }: Ground, userId: string): Promise<string> {
  const secret = drawSecret()
  await sql.query(
    `INSERT INTO ${state.schema}.user_session (hash, user_id, created_at, used_at) VALUES (decode($1::text, 'hex'), $2::text, ${time('$3')}, ${time('$3')})`,
    [hashOf(secret), userId, now()],
  )
  return secret
}

/** Whose session it is; null: nobody's, or it is over. That it was used is written at most once a minute. */
export async function sessionUser({ state, now }: Ground, secret: string): Promise<SessionUser | null> {
  if (!isSecret(secret)) return null
  const { schema } = state
  const hash = hashOf(secret)
  const { rows } = await state.query(
    `SELECT u.id, u.name, u.role, s.used_at < ${time('$2')} - interval '1 minute' AS stale
     FROM ${schema}.user_session s JOIN ${schema}.user_account u ON u.id = s.user_id
     WHERE s.hash = decode($1::text, 'hex') AND s.used_at > ${time('$2')} - ${idle} AND s.created_at > ${time('$2')} - ${life}`,
    [hash, now()],
  )
  const [row] = rows
  if (row === undefined) return null
  if (row.stale === true) {
    // Two statements and no transaction: who changes a user locks these rows in the other order.
    await state.query(`UPDATE ${schema}.user_session SET used_at = ${time('$2')} WHERE hash = decode($1::text, 'hex')`, [hash, now()])
    await state.query(`UPDATE ${schema}.user_account SET last_seen_at = ${time('$2')} WHERE id = $1::text`, [String(row.id), now()])
  }
  return { id: String(row.id), name: String(row.name), role: String(row.role) as Role }
}

/** Ends one session. @returns whether it was there */
export async function endSession(sql: Sql, schema: string, secret: string): Promise<boolean> {
  const { rows } = await sql.query(`DELETE FROM ${schema}.user_session WHERE hash = decode($1::text, 'hex') RETURNING 1 AS ended`, [
    hashOf(secret),
  ])
  return rows.length > 0
}

/** Ends all sessions of a user. @returns how many there were */
export async function endSessions(sql: Sql, schema: string, userId: string): Promise<number> {
  const { rows } = await sql.query(`DELETE FROM ${schema}.user_session WHERE user_id = $1::text RETURNING 1 AS ended`, [userId])
  return rows.length
}

/** Deletes the sessions that are over. */
export async function removeEnded({ state, now }: Ground): Promise<void> {
  await state.query(
    `DELETE FROM ${state.schema}.user_session WHERE used_at <= ${time('$1')} - ${idle} OR created_at <= ${time('$1')} - ${life}`,
    [now()],
  )
}
