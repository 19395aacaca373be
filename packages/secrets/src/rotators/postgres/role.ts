import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { outside } from '../../outside/failure.ts'
import { type PostgresLogin, type PostgresSession, quoted, tryPostgres } from '../../outside/postgres.ts'
import type { Finding, Verdict } from '../../secret/call.ts'
import { isScramVerifier, scramVerifier } from './scram.ts'

export const roleName = z.string().regex(/^[^\0\r\n]{1,63}$/u, { error: 'expected the name of a role' })

/** What the server says of a role. */
export interface Role {
  readonly name: string
  readonly canLogin: boolean
  /** Its VALID UNTIL is over: every log-in with a password fails. */
  readonly expired: boolean
  readonly sessions: number
  /** The roles it is a member of and its settings: what makes two roles differ for whoever uses them. */
  readonly rights: string
}

const text = `
  SELECT r.rolname AS name, r.rolcanlogin AS "canLogin", coalesce(r.rolvaliduntil < now(), false) AS expired,
    (SELECT count(*)::int FROM pg_stat_activity a WHERE a.usename = r.rolname) AS sessions,
    concat_ws(' ', r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolbypassrls, r.rolreplication, r.rolconnlimit,
      (SELECT string_agg(m.roleid::text, ',' ORDER BY m.roleid) FROM pg_auth_members m WHERE m.member = r.oid), '|',
      (SELECT string_agg(s.setdatabase || array_to_string(s.setconfig, ','), ';' ORDER BY s.setdatabase) FROM pg_db_role_setting s WHERE s.setrole = r.oid)) AS rights
  FROM pg_roles r WHERE r.rolname = ANY ($1)`

/** The roles of these names, those that there are. */
export async function rolesOf(session: PostgresSession, names: readonly string[]): Promise<ReadonlyMap<string, Role>> {
  const rows = await session.query<Role>(text, [names])
  return new Map(rows.map((role) => [role.name, role]))
}

/** What the server keeps of the role's password; null for none, undefined where this login may not see it. */
export async function keptOf(session: PostgresSession, name: string): Promise<string | null | undefined> {
  const [row] = await session.query<{ may: boolean }>(`SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may`)
  if (!row?.may) return undefined
  const [role] = await session.query<{ kept: string | null }>('SELECT rolpassword AS kept FROM pg_catalog.pg_authid WHERE rolname = $1', [
    name,
  ])
  return role?.kept ?? null
}

/**
 * `ALTER ROLE name …`, as the role that logged in: a setting of `role` would have another one's rights. What it is to keep is read again, for what
 * is not exactly a verifier Postgres takes for a password.
 */
export async function alterRole(session: PostgresSession, { name, where, login, verifier }: RoleChange): Promise<void> {
  if (verifier != null && !isScramVerifier(verifier)) throw outside('refused', where, 'the sealed verifier is none of SCRAM-SHA-256')
  await session.query('SET ROLE NONE')
  const password = verifier === undefined ? '' : ` PASSWORD ${verifier === null ? 'NULL' : `'${verifier}'`}`
  await session.query(`ALTER ROLE ${quoted(name)}${login === undefined ? '' : login ? ' LOGIN' : ' NOLOGIN'}${password}`)
  if (verifier === undefined) return
  const kept = await keptOf(session, name)
  if (kept !== undefined && kept !== verifier) throw outside('uncertain', where, 'the server keeps another password than was given')
}

interface RoleChange {
  readonly name: string
  readonly where: string
  readonly login?: boolean
  /** Null takes the password away; without it, it stays. */
  readonly verifier?: string | null
}

/** Tries whether this login may change the role, and rolls that back: settings and extensions of the server may forbid what rights allow. */
export async function mayAlter(session: PostgresSession, name: string): Promise<Finding[]> {
  const verifier = await scramVerifier(randomBytes(24).toString('base64url'))
  await session.query('SET ROLE NONE')
  await session.query('BEGIN')
  try {
    await session.query(`ALTER ROLE ${quoted(name)} PASSWORD '${verifier}'`)
    return []
  } catch {
    const sentence = `the administrator's login may not change role "${name}". It needs CREATEROLE, and from Postgres 16 on ADMIN OPTION for the role`
    return [{ severity: 'fault', sentence }]
  } finally {
    await session.query('ROLLBACK')
  }
}

/**
 * Logs in as consumers do.
 *
 * @param later - whether something between here and the server, such as a bouncer or a replica, may learn of a change with delay
 */
export async function tryRole(login: PostgresLogin & { readonly user: string }, later: boolean): Promise<Verdict> {
  const found = await tryPostgres(login)
  const failed = (sentence: string, later = false): Verdict => ({ works: false, later, sentence })
  if ('code' in found) return failed(`role "${login.user}" was not let in (${found.code})`, later)
  if (!found.asked) return failed('the server asked for no password: pg_hba.conf trusts this address, so that nothing can be proved')
  if (found.user !== login.user) return failed(`it logs in as another role, "${found.user}"`)
  return { works: true, sentence: `role "${login.user}" logged in with its password` }
}

const LOOK_MS = 20

/** Ends the sessions of a role, which outlive its password. Those that are just beginning end with the next look. */
export async function endSessions(
  session: PostgresSession,
  { name, where, signal }: { name: string; where: string; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    const ended = await session.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid()',
      [name],
    )
    if (ended.length === 0) return
    await sleep(LOOK_MS)
  }
  throw outside('busy', where, 'there was no time left to end all sessions')
}
