import { randomUUID } from 'node:crypto'
import { fail, type Sql } from '@keyturn/core'
import type { Role } from '../access.ts'
import { utc } from '../state/time.ts'
import { forgetBrowsers } from './browsers.ts'
import { alone, type Ground, record, textOrNull, time } from './ground.ts'
import { fold } from './password.ts'
import { endSessions } from './sessions.ts'

/** Who may sign in. */
export interface User {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly createdAt: string
  readonly lastSeenAt: string | null
}
/** What a new user is made of. */
export interface NewUser {
  readonly name: string
  readonly role: Role
  /** The password, hashed. */
  readonly hashed: string
}
/** What of a user is changed. */
export interface UserChange {
  readonly role?: Role
  /** The new password, hashed. */
  readonly hashed?: string
}

const columns = `id, name, role, ${utc('created_at')}, ${utc('last_seen_at')}`

const toUser = (row: Record<string, unknown>): User => ({
  id: String(row.id),
  name: String(row.name),
  role: String(row.role) as Role,
  createdAt: String(row.created_at),
  lastSeenAt: textOrNull(row.last_seen_at),
})

export async function hasUsers(sql: Sql, schema: string): Promise<boolean> {
  const { rows } = await sql.query(`SELECT EXISTS (SELECT FROM ${schema}.user_account) AS found`)
  return rows[0]?.found === true
}

/** Users by their names, from the one after `after` on. */
export async function listUsers({ state }: Ground, after: string, limit: number): Promise<readonly User[]> {
  const { rows } = await state.query(
    `SELECT ${columns} FROM ${state.schema}.user_account WHERE folded COLLATE "C" > $1::text ORDER BY folded COLLATE "C" LIMIT $2::text::bigint`,
    [after, String(limit)],
  )
  return rows.map(toUser)
}

export async function getUser(sql: Sql, schema: string, id: string): Promise<User | null> {
  const { rows } = await sql.query(`SELECT ${columns} FROM ${schema}.user_account WHERE id = $1::text`, [id])
  return rows[0] === undefined ? null : toUser(rows[0])
}

/** A user with the stored hash of the password: by the folded name, or by the id. */
export async function credentialsOf(
  { state }: Ground,
  by: 'folded' | 'id',
  value: string,
): Promise<{ readonly id: string; readonly name: string; readonly hashed: string } | null> {
  const { rows } = await state.query(`SELECT id, name, password FROM ${state.schema}.user_account WHERE ${by} = $1::text`, [value])
  return rows[0] === undefined ? null : { id: String(rows[0].id), name: String(rows[0].name), hashed: String(rows[0].password) }
}

/** Within the caller's transaction, which puts it on record. @throws `ERR_NAME_TAKEN` */
export async function insertUser(sql: Sql, { state, now }: Ground, { name, role, hashed }: NewUser): Promise<User> {
  const { rows } = await sql.query(
    `INSERT INTO ${state.schema}.user_account (id, name, folded, role, password, created_at)
     VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, ${time('$6')}) ON CONFLICT (folded) DO NOTHING RETURNING ${columns}`,
    [randomUUID(), name, fold(name), role, hashed, now()],
  )
  if (rows[0] === undefined) throw fail('ERR_NAME_TAKEN', 'user', name)
  return toUser(rows[0])
}

/** @throws `ERR_NAME_TAKEN` */
export async function createUser(ground: Ground, actor: string, made: NewUser): Promise<User> {
  return await alone(ground, async (sql) => {
    const user = await insertUser(sql, ground, made)
    const data = { name: user.name, role: user.role }
    await record(sql, ground, { actor, action: 'user.create', subject: `user/${user.id}`, data })
    return user
  })
}

/**
 * Changes a user and ends the sessions, so that nobody goes on with what was allowed before.
 *
 * @throws `ERR_LAST_ADMIN`, `ERR_UNKNOWN_NAME`
 */
export async function changeUser(ground: Ground, actor: string, id: string, { role, hashed }: UserChange): Promise<User> {
  const { schema } = ground.state
  return await alone(ground, async (sql) => {
    const before = await existingUser(sql, schema, id)
    if (role !== undefined && role !== 'admin') await assertNotLastAdmin(sql, schema, before)
    await sql.query(
      `UPDATE ${schema}.user_account SET role = coalesce($2::text, role), password = coalesce($3::text, password) WHERE id = $1::text`,
      [id, role ?? null, hashed ?? null],
    )
    const sessions = await endSessions(sql, schema, id)
    if (hashed !== undefined) await forgetBrowsers(sql, schema, id)
    const changed = [...(role === undefined || role === before.role ? [] : ['role']), ...(hashed === undefined ? [] : ['password'])]
    const data = { name: before.name, changed, role: role ?? before.role, sessions }
    await record(sql, ground, { actor, action: 'user.change', subject: `user/${id}`, data })
    return { ...before, role: role ?? before.role }
  })
}

/** @throws `ERR_LAST_ADMIN`, `ERR_UNKNOWN_NAME` */
export async function deleteUser(ground: Ground, actor: string, id: string): Promise<void> {
  const { schema } = ground.state
  await alone(ground, async (sql) => {
    const user = await existingUser(sql, schema, id)
    await assertNotLastAdmin(sql, schema, user)
    const sessions = await endSessions(sql, schema, id)
    await sql.query(`DELETE FROM ${schema}.user_account WHERE id = $1::text`, [id])
    const data = { name: user.name, role: user.role, sessions }
    await record(sql, ground, { actor, action: 'user.delete', subject: `user/${id}`, data })
  })
}

/** The password was right and its hash is of older parameters. Not if it was changed meanwhile. */
export async function rehash({ state }: Ground, id: string, from: string, to: string): Promise<void> {
  await state.query(`UPDATE ${state.schema}.user_account SET password = $3::text WHERE id = $1::text AND password = $2::text`, [
    id,
    from,
    to,
  ])
}

/** @throws `ERR_UNKNOWN_NAME` */
export async function existingUser(sql: Sql, schema: string, id: string): Promise<User> {
  const user = await getUser(sql, schema, id)
  if (user === null) throw fail('ERR_UNKNOWN_NAME', 'user', id, '')
  return user
}

async function assertNotLastAdmin(sql: Sql, schema: string, { id, role }: User): Promise<void> {
  if (role !== 'admin') return
  const { rows } = await sql.query(`SELECT EXISTS (SELECT FROM ${schema}.user_account WHERE role = 'admin' AND id <> $1::text) AS found`, [
    id,
  ])
  if (rows[0]?.found !== true) throw fail('ERR_LAST_ADMIN')
}
