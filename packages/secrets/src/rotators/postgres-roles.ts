import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { inPostgres, type PostgresSession, postgresAddress } from '../outside/postgres.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import { secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { alterRole, endSessions, keptOf, mayAlter, type Role, roleName, rolesOf, tryRole } from './postgres/role.ts'
import { isOf, scramVerifier } from './postgres/scram.ts'

export const options = z.strictObject({
  /** Connection string of an administrator, in a variable: CREATEROLE, and from Postgres 16 on ADMIN OPTION for both roles. */
  admin: secretRef,
  /** The two that take turns. Give both the same rights: members of one role without LOGIN, with `ALTER ROLE … SET role = owner`. */
  roles: z.tuple([roleName, roleName]).refine(([one, other]) => one !== other, { error: 'expected two different roles' }),
  /** Where it is tried; the server of `admin` unless given. No PgBouncer with a file of users, which learns of the new password later: that is for the gate `logins`. */
  address: postgresAddress.optional(),
  /** Whether sessions of the old role are ended when it is revoked: they outlive its password. */
  endSessions: z.boolean().default(false),
})

/**
 * Two roles of Postgres that take turns: the idle one gets a new password and LOGIN, consumers change to it, and the other one loses both. No
 * log-in fails in between, and going back needs no change at the server.
 *
 * What Postgres is given is a SCRAM-SHA-256 verifier made here, never the password. The part `verifier` is that text, for the file of a PgBouncer. Made and
 * revoked in one statement each, so that a crash leaves a role as it was or as it should be. Needs Postgres 10 or newer.
 *
 * Facts: ALTER ROLE, pg_authid, pg_stat_activity, RFC 7677.
 */
export default function postgresRoles({ admin, roles, address, endSessions: ends }: z.infer<typeof options>, world: World): Rotator {
  const where = `Postgres, roles "${roles[0]}" and "${roles[1]}"`
  const asAdmin = async <T>({ signal }: Call, work: (session: PostgresSession) => Promise<T>): Promise<T> =>
    inPostgres({ where, url: await world.read(admin), signal }, work)
  const idleBeside = (current: Credential | null, found: ReadonlyMap<string, Role>): string => {
    if (current !== null) return nameOf(current) === roles[0] ? roles[1] : roles[0]
    const inUse = roles.filter((name) => found.get(name)?.canLogin)
    if (inUse.length === 2) throw outside('refused', where, 'both roles can log in. Say under "first" which one is in use')
    return inUse[0] === roles[0] ? roles[1] : roles[0]
  }
  const nameOf = ({ id, parts }: Credential): string => {
    const name = id ?? parts.user
    if (name === undefined) throw outside('refused', where, 'the credential names no role')
    return name
  }
  return {
    parts: { user: 'public', password: 'secret', verifier: 'secret' },
    overlap: true,

    check: (call, current) =>
      findings(() =>
        asAdmin(call, async (session) => {
          const names = [...new Set([...roles, ...(current?.id ? [current.id] : [])])]
          const found = await rolesOf(session, names)
          const missing = names.filter((name) => !found.has(name))
          if (missing.length > 0) return missing.map(notThere)
          const idle = idleBeside(current, found)
          const [self] = await session.query<{ user: string }>('SELECT session_user AS user')
          const rights = []
          for (const name of names) rights.push(...(await mayAlter(session, name)))
          return [...rights, ...findingsOf({ idle: found.get(idle) as Role, all: [...found.values()], admin: self?.user ?? '' })]
        }),
      ),

    propose: (call, current) =>
      asAdmin(call, async (session) => {
        const user = idleBeside(current, await rolesOf(session, roles))
        const password = generateKey({ format: 'chars', length: 40 })
        return { id: user, parts: { user, password, verifier: await scramVerifier(password) } }
      }),

    create: async (call, given, current) => {
      if (given === null || !roles.includes(nameOf(given))) throw outside('refused', where, 'there is no proposal for one of the two roles')
      if (given.id === current?.id) throw outside('refused', where, `role "${given.id}" is the one in use`)
      const { verifier, password } = given.parts
      await asAdmin(call, async (session) =>
        alterRole(session, { name: nameOf(given), where, login: true, verifier: verifier || (await scramVerifier(password ?? '')) }),
      )
      return given
    },

    verify: async ({ signal }, credential) => {
      const login = {
        where,
        url: address ?? (await world.read(admin)),
        user: nameOf(credential),
        password: credential.parts.password ?? '',
        signal,
      }
      return tryRole(login, address !== undefined)
    },

    // Postgres does not keep when a role logged in last.
    lastUsed: (call, credential) =>
      asAdmin(call, async (session) => {
        const role = (await rolesOf(session, [nameOf(credential)])).get(nameOf(credential))
        return (role?.sessions ?? 0) > 0 ? world.now() : undefined
      }),

    disable: (call, credential) =>
      asAdmin(call, (session) => ifThere(session, credential, (name) => alterRole(session, { name, where, login: false }))),
    enable: (call, credential) =>
      asAdmin(call, (session) => ifThere(session, credential, (name) => alterRole(session, { name, where, login: true }))),

    revoke: (call, credential, successor) =>
      asAdmin(call, (session) =>
        ifThere(session, credential, async (name) => {
          if (successor !== null && nameOf(successor) === name) throw outside('refused', where, `role "${name}" is the one that remains`)
          await alterRole(session, { name, where, login: false, verifier: null })
          if (ends) await endSessions(session, { name, where, signal: call.signal })
        }),
      ),

    adopt: (call, parts) =>
      asAdmin(call, async (session) => {
        const { user = '', password = '' } = parts
        if (!(await rolesOf(session, [user])).has(user)) throw outside('refused', where, `there is no role "${user}"`)
        const kept = await keptOf(session, user)
        if (kept === undefined) return { id: user, parts }
        if (!(await isOf(kept, user, password))) throw outside('refused', where, `the password given is not that of role "${user}"`)
        return { id: user, parts: { ...parts, ...(kept?.startsWith('SCRAM-') && { verifier: kept }) } }
      }),
  }

  /** Does something with a role, unless it is gone, or holds another password than this one: then the credential has ended already. */
  async function ifThere(session: PostgresSession, credential: Credential, work: (name: string) => Promise<void>): Promise<void> {
    const name = nameOf(credential)
    if (!(await rolesOf(session, [name])).has(name)) return
    const { password } = credential.parts
    const kept = await keptOf(session, name)
    if (password !== undefined && kept != null && !(await isOf(kept, name, password))) return
    await work(name)
  }
}

const notThere = (name: string): Finding => ({
  severity: 'fault',
  sentence: `there is no role "${name}". Make it with the rights of the other one: CREATE ROLE "${name}" NOLOGIN IN ROLE owner`,
})

function findingsOf({ idle, all, admin }: { idle: Role; all: readonly Role[]; admin: string }): Finding[] {
  const found: Finding[] = []
  if (all.some(({ name }) => name === admin))
    found.push({
      severity: 'fault',
      sentence: `the administrator logs in as "${admin}", which a rotation would lock out. Give a login of its own`,
    })
  if (idle.sessions > 0)
    found.push({
      severity: 'fault',
      sentence: `${idle.sessions} sessions use role "${idle.name}", whose password would change. End them first`,
    })
  else if (idle.canLogin) found.push({ severity: 'warning', sentence: `role "${idle.name}" can log in, and its password will change` })
  if (idle.expired) found.push({ severity: 'fault', sentence: `role "${idle.name}" has a VALID UNTIL that is over` })
  if (all.some(({ rights }) => rights !== idle.rights))
    found.push({
      severity: 'warning',
      sentence: `the roles differ in their attributes, settings or memberships: "${idle.name}" may not do what the other one may`,
    })
  return found
}
