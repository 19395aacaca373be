import { fail } from '@keyturn/core'
import { alone, type Ground, record, time } from './ground.ts'
import { drawSecret, hashOf, isSecret } from './secret.ts'
import { hasUsers, insertUser, type User } from './users.ts'

/** How long a link may be used. */
export const linkHours = 24

/**
 * Makes a link that makes the first admin; null once there is a user. Those of servers that started before hold too, until they expire: several may
 * start together, and the operator reads the log of one.
 */
export async function makeSetupLink(ground: Ground): Promise<string | null> {
  const { state, now, prefix } = ground
  return await alone(ground, async (sql) => {
    if (await hasUsers(sql, state.schema)) return null
    const token = drawSecret()
    await sql.query(`DELETE FROM ${state.schema}.setup_link WHERE expires_at <= ${time('$1')}`, [now()])
    await sql.query(
      `INSERT INTO ${state.schema}.setup_link (hash, expires_at) VALUES (decode($1::text, 'hex'), ${time('$2')} + interval '${linkHours} hours')`,
      [hashOf(token), now()],
    )
    // Behind `#` it is sent to no server, and stands in no log of a proxy.
    return `${prefix}/setup#${token}`
  })
}

/** What is printed at the start. Whoever reads it first may make the admin. */
export const setupLine = (link: string): string =>
  `No user exists yet. Make the first admin within ${linkHours} hours, once, at the address of this server followed by ${link}`

/** Whether a link may be used. Asked before the password is hashed, which costs. */
export async function isSetupToken({ state, now }: Ground, token: string): Promise<boolean> {
  if (!isSecret(token)) return false
  const { rows } = await state.query(
    `SELECT 1 AS found FROM ${state.schema}.setup_link
     WHERE hash = decode($1::text, 'hex') AND expires_at > ${time('$2')} AND NOT EXISTS (SELECT FROM ${state.schema}.user_account)`,
    [hashOf(token), now()],
  )
  return rows.length > 0
}

/** What the first admin is made of. */
export interface FirstAdmin {
  readonly token: string
  readonly name: string
  readonly hashed: string
  readonly address: string
}

/**
 * Makes the first admin. All links end with it; of two at once one makes it.
 *
 * @throws `ERR_UNAUTHORIZED` when the link is not valid, or somebody was faster
 */
export async function makeFirstAdmin(ground: Ground, { token, name, hashed, address }: FirstAdmin): Promise<User> {
  const { state, now } = ground
  return await alone(ground, async (sql) => {
    const { rows } = await sql.query(
      `DELETE FROM ${state.schema}.setup_link WHERE hash = decode($1::text, 'hex') AND expires_at > ${time('$2')} RETURNING 1 AS used`,
      [hashOf(token), now()],
    )
    if (rows.length === 0 || (await hasUsers(sql, state.schema))) throw fail('ERR_UNAUTHORIZED')
    await sql.query(`DELETE FROM ${state.schema}.setup_link`)
    const user = await insertUser(sql, ground, { name, role: 'admin', hashed })
    const data = { name, role: 'admin', address, by: 'set-up link' }
    await record(sql, ground, { actor: `user:${name}`, action: 'user.create', subject: `user/${user.id}`, data })
    return user
  })
}
