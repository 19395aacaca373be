import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { inPostgres, type PostgresSession, postgresAddress } from '../outside/postgres.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import { secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { alterRole, keptOf, mayAlter, roleName, rolesOf, tryRole } from './postgres/role.ts'
import { isOf, scramVerifier } from './postgres/scram.ts'

export const options = z.strictObject({
  /** Connection string of an administrator, in a variable: CREATEROLE, and from Postgres 16 on ADMIN OPTION for the role. */
  admin: secretRef,
  role: roleName,
  /** Where it is tried; the server of `admin` unless given. No PgBouncer with a file of users, which learns of the new password later: that is for the gate `logins`. */
  address: postgresAddress.optional(),
})

/**
 * The password of one role of Postgres. It has only one: new log-ins with the old one fail from the moment the new one is set until consumers have
 * it; open sessions go on. Where that gap matters, let two roles take turns (`postgres-roles`).
 *
 * Postgres is given a SCRAM-SHA-256 verifier made here, never the password. The part `verifier` is that text, for the file of a PgBouncer. One statement
 * sets it, so that a crash leaves the old password or the new one; setting the old one again is the way back. Needs Postgres 10 or newer.
 *
 * Facts: ALTER ROLE, pg_authid, RFC 7677.
 */
export default function postgresRole({ admin, role, address }: z.infer<typeof options>, world: World): Rotator {
  const where = `Postgres, role "${role}"`
  const asAdmin = async <T>({ signal }: Call, work: (session: PostgresSession) => Promise<T>): Promise<T> =>
    inPostgres({ where, url: await world.read(admin), signal }, work)
  const set = async (call: Call, { parts }: Credential): Promise<void> => {
    if (parts.password === undefined) throw outside('refused', where, 'the credential has no password')
    const verifier = parts.verifier || (await scramVerifier(parts.password))
    await asAdmin(call, (session) => alterRole(session, { name: role, where, verifier }))
  }
  const logIn = async ({ signal }: Call, { parts }: Credential) =>
    tryRole({ where, url: address ?? (await world.read(admin)), user: role, password: parts.password ?? '', signal }, address !== undefined)
  /** Whether it is the password that the role has now. */
  const stands = async (call: Call, credential: Credential): Promise<boolean> => {
    const kept = await asAdmin(call, (session) => keptOf(session, role))
    return kept === undefined ? (await logIn(call, credential)).works : isOf(kept, role, credential.parts.password ?? '')
  }
  return {
    parts: { user: 'public', password: 'secret', verifier: 'secret' },
    overlap: false,

    check: (call) =>
      findings(() =>
        asAdmin(call, async (session) => {
          const found = (await rolesOf(session, [role])).get(role)
          if (found === undefined) return [{ severity: 'fault', sentence: `there is no role "${role}"` }]
          const [self] = await session.query<{ user: string }>('SELECT session_user AS user')
          const faults: (Finding | false)[] = [
            self?.user === role && fault(`the administrator logs in as "${role}", whose password is to change. Give a login of its own`),
            !found.canLogin && fault(`role "${role}" may not log in`),
            found.expired && fault(`role "${role}" has a VALID UNTIL that is over`),
          ]
          return [...(await mayAlter(session, role)), ...faults.filter((one) => one !== false)]
        }),
      ),

    propose: async () => {
      const password = generateKey({ format: 'chars', length: 40 })
      return { id: null, parts: { user: role, password, verifier: await scramVerifier(password) } }
    },

    create: async (call, given) => {
      if (given === null) throw outside('refused', where, 'there is no proposal')
      await set(call, given)
      return given
    },
    verify: logIn,
    reinstate: set,

    revoke: async (call, credential, successor) => {
      const there = await asAdmin(call, (session) => rolesOf(session, [role]))
      // Where another password stands, this one has ended: that of its successor, or one that somebody has set by hand.
      if (!there.has(role) || !(await stands(call, credential))) return
      if (successor !== null) return set(call, successor)
      await asAdmin(call, (session) => alterRole(session, { name: role, where, verifier: null }))
    },

    adopt: async (call, parts) => {
      const credential = { id: null, parts: { ...parts, user: role } }
      const kept = await asAdmin(call, (session) => keptOf(session, role))
      if (!(await stands(call, credential))) throw outside('refused', where, 'the password given is not the one that it has')
      return { id: null, parts: { ...credential.parts, ...(kept?.startsWith('SCRAM-') && { verifier: kept }) } }
    },
  }
}

const fault = (sentence: string): Finding => ({ severity: 'fault', sentence })
