import { createHash } from 'node:crypto'
import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { inRedis, loginIn, RedisRefusal, type RedisSession, redisAddress, tryRedis } from '../outside/redis.ts'
import type { Call, Finding, Verdict, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import { secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'

export const options = z.strictObject({
  /**
   * Every node, replicas too: rules are not replicated. An address in a variable may have an administrator's login in it; where there is
   * none, the user changes its own password and needs the rights to `ACL SETUSER` and `ACL GETUSER`.
   */
  nodes: z.array(z.union([redisAddress, secretRef])).min(1),
  user: z
    .string()
    .regex(/^[^\s\0]{1,256}$/, { error: 'expected the name of a user' })
    .default('default'),
  /** Whether connections of the user are ended when the old password is revoked: they outlive it. Redis cannot tell those with the new one, which connect again. */
  endSessions: z.boolean().default(false),
})

type Work<T> = (session: RedisSession, where: string) => Promise<T>

/** What Redis keeps and accepts in place of a password. */
const hashOf = (password: string): string => createHash('sha256').update(password).digest('hex')

/**
 * The password of a Redis user, on all nodes. A user may have several, so that old and new both work until the old one is revoked.
 *
 * Redis is given SHA-256 hashes (`#…`, `!…`), never a password: MONITOR, the slow log and the append-only file do not show one. Each node is changed by
 * one command that may be repeated. The change is made to last by `ACL SAVE`, or `CONFIG REWRITE` where there is no ACL file; `check` says where neither
 * works. Needs Redis 6 or newer, or Valkey, and the rights to `ACL`, `CONFIG` and, to end connections, `CLIENT KILL`.
 *
 * Facts: redis.io on ACL SETUSER; tried with 7.0.
 */
export default function redisAcl({ nodes, user, endSessions }: z.infer<typeof options>, world: World): Rotator {
  const nameOf = (index: number) => `Redis, ${nodes.length === 1 ? `user "${user}"` : `node ${index + 1}, user "${user}"`}`
  /** One node after the other: what fails on one leaves the others for the repetition. */
  const onEach = async <T>(call: Call, self: readonly (Credential | null)[], work: Work<T>): Promise<T[]> => {
    const results: T[] = []
    for (const [index, node] of nodes.entries()) {
      const [where, url] = [nameOf(index), typeof node === 'string' ? node : await world.read(node)]
      const own = loginIn(url).password === undefined ? await ownLogin(call, url, where, self) : {}
      results.push(await inRedis({ where, url, signal: call.signal, ...own }, (session) => work(session, where)))
    }
    return results
  }
  /** Without an administrator: the first of these credentials that is let in. */
  const ownLogin = async ({ signal }: Call, url: string, where: string, self: readonly (Credential | null)[]) => {
    for (const credential of self) {
      if (credential === null) continue
      const login = { user, password: credential.parts.password ?? '' }
      if ((await tryRedis({ where, url, signal, ...login })) === null) return login
    }
    throw outside('refused', where, 'there is no login: put that of an administrator into the address, or say under "first" what is in use')
  }
  const hasAdmin = async () => {
    for (const node of nodes) if (typeof node === 'string' || loginIn(await world.read(node)).password === undefined) return false
    return true
  }
  const verify = async ({ signal }: Call, credential: Credential): Promise<Verdict> => {
    for (const [index, node] of nodes.entries()) {
      const url = typeof node === 'string' ? node : await world.read(node)
      const word = await tryRedis({ where: nameOf(index), url, user, password: credential.parts.password ?? '', signal })
      if (word !== null) return { works: false, later: false, sentence: `${nameOf(index)} did not let it in (${word})` }
    }
    return { works: true, sentence: `user "${user}" logged in to ${nodes.length === 1 ? 'Redis' : `all ${nodes.length} nodes`}` }
  }
  return {
    parts: { user: 'public', password: 'secret' },
    overlap: true,

    check: (call, current) =>
      findings(async () => {
        const found: Finding[] = []
        for (const each of await onEach(call, [current], (session, where) => lookAt(session, { where, user, current }))) found.push(...each)
        for (const [index, node] of nodes.entries()) {
          if (typeof node === 'string' || loginIn(await world.read(node)).user !== user) continue
          const sentence = `${nameOf(index)}: the address has this user's own login, which a rotation ends. Give another user's, or an address without one`
          found.push({ severity: 'fault', sentence })
        }
        return found
      }),

    propose: async () => ({ id: null, parts: { user, password: generateKey({ format: 'chars', length: 40 }) } }),

    create: async (call, given, current) => {
      const password = given?.parts.password
      if (given === null || password === undefined) throw outside('refused', nameOf(0), 'there is no proposal')
      await onEach(call, [current, given], async (session, where) => {
        await assertUser(session, where, user)
        await session.ask('ACL', 'SETUSER', user, `#${hashOf(password)}`)
        await keep(session, where)
      })
      return given
    },

    verify,

    revoke: async (call, credential, successor) => {
      const { password } = credential.parts
      if (password !== undefined && password === successor?.parts.password)
        throw outside('refused', nameOf(0), 'it is the password that remains')
      if (password === undefined) throw outside('refused', nameOf(0), 'only a password can be taken away, and this credential has none')
      // A user that changes its own password cannot log in to be told so again.
      if (successor === null && !(await hasAdmin()) && !(await verify(call, credential)).works) return
      await onEach(call, [successor, credential], async (session, where) => {
        const there = (await userOf(session, user))?.passwords ?? []
        const next = successor?.parts.password
        // Without the one that is to remain nobody could log in any more.
        if (next !== undefined && !there.includes(hashOf(next)))
          throw outside('refused', where, 'it does not know the password that is to remain')
        if (there.includes(hashOf(password))) await session.ask('ACL', 'SETUSER', user, `!${hashOf(password)}`)
        await keep(session, where)
        if (endSessions) await session.ask('CLIENT', 'KILL', 'USER', user, 'SKIPME', 'yes')
      })
    },

    adopt: async (call, given) => {
      const credential = { id: null, parts: { ...given, user } }
      const hash = hashOf(given.password ?? '')
      await onEach(call, [credential], async (session, where) => {
        if (!(await userOf(session, user))?.passwords.includes(hash))
          throw outside('refused', where, 'the password given is none that it knows')
      })
      return credential
    },
  }
}

/** A user as `ACL GETUSER` shows it, null where there is none. Passwords are hashes. */
async function userOf(
  session: RedisSession,
  user: string,
): Promise<{ readonly flags: readonly string[]; readonly passwords: readonly string[] } | null> {
  const answer = await session.ask('ACL', 'GETUSER', user)
  if (!Array.isArray(answer)) return null
  const member = (name: string): string[] => [answer[answer.indexOf(name) + 1]].flat().map(String)
  return { flags: member('flags'), passwords: member('passwords') }
}

/** `ACL SETUSER` makes a user that is not there, and takes `nopass` from one that has it: neither is a rotation. */
async function assertUser(session: RedisSession, where: string, user: string): Promise<void> {
  const found = await userOf(session, user)
  if (found === null) throw outside('refused', where, 'there is no such user')
  if (found.flags.includes('nopass'))
    throw outside('refused', where, 'the user needs no password: whoever logs in without one would be shut out')
}

/** Makes the change last, where the node has a place for it. */
async function keep(session: RedisSession, where: string): Promise<void> {
  for (const [command, ...args] of [
    ['ACL', 'SAVE'],
    ['CONFIG', 'REWRITE'],
  ] as const) {
    try {
      await session.ask(command, ...args)
      return
    } catch (error) {
      if (!(error instanceof RedisRefusal)) throw error
      // Of a node that has no such file, or does not let us: `check` has warned.
      if (
        /not configured to use an ACL file|without a config file/.test(error.message) ||
        error.word === 'NOPERM' ||
        /unknown command/i.test(error.message)
      )
        continue
      throw outside('uncertain', where, `it changed, and ${command} ${args[0]} failed, so that a restart would bring the old state`)
    }
  }
}

async function lookAt(
  session: RedisSession,
  { where, user, current }: { where: string; user: string; current: Credential | null },
): Promise<Finding[]> {
  const finding = (severity: Finding['severity'], sentence: string): Finding => ({ severity, sentence: `${where}: ${sentence}` })
  const found = await userOf(session, user)
  if (found === null) return [finding('fault', 'there is no such user')]
  const setting = async (name: string): Promise<string> => {
    const answer = await session.ask('CONFIG', 'GET', name).catch(() => null)
    return Array.isArray(answer) ? String(answer[1] ?? '') : ''
  }
  const file = /^config_file:(\S+)/m.exec(String(await session.ask('INFO', 'server').catch(() => '')))
  const masterUser = (await setting('masteruser')) || 'default'
  const old = current?.parts.password
  return [
    found.flags.includes('nopass') && finding('fault', 'the user needs no password: whoever logs in without one would be shut out'),
    found.flags.includes('off') && finding('fault', 'the user is off'),
    old !== undefined && !found.passwords.includes(hashOf(old)) && finding('fault', 'it does not know the password that is in use'),
    (await setting('aclfile')) === '' &&
      file === null &&
      finding('warning', 'it has neither an ACL file nor a configuration file, or does not say so: after a restart the change is lost'),
    masterUser === user &&
      (await setting('masterauth')) !== '' &&
      finding('warning', 'it logs in to its primary as this user: give masterauth the new password, too, before the old one is revoked'),
    user === 'default' &&
      (await setting('requirepass')) !== '' &&
      finding('warning', 'requirepass keeps a password in plain text, and CONFIG GET shows it: take it out of the configuration file'),
  ].filter((one) => one !== false)
}
