import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { inPostgres, type PostgresSession, quoted } from '../outside/postgres.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import { secretRef } from '../secret/options.ts'
import type { Held, Store, Values } from '../secret/store.ts'
import { filePath, LockedFile } from './file/locked-file.ts'

export const options = z.strictObject({
  /** The `auth_file` of a PgBouncer on this machine. */
  path: filePath,
  /**
   * Connection string of its console, in a variable: `postgres://admin:…@127.0.0.1:6432/pgbouncer`, with a user of `admin_users`. Without it the
   * file is written, and a target has to reload the PgBouncer.
   */
  console: secretRef.optional(),
  /**
   * Whether its connections to the server are made anew (`RECONNECT`), so that a log-in through it is one at the server, too. Needed with one role; with two
   * each has connections of its own. A client that comes in that very moment may be refused: some of thousands were.
   */
  reconnect: z.boolean().default(false),
})

/** A line `"user" "secret"`; what follows is no matter to PgBouncer, and our name for it. */
const line = /^[ \t]*"((?:[^"]|"")*)"[ \t]*"((?:[^"]|"")*)"[ \t]*(?:; keyturn (\S+))?.*$/

interface Entry {
  readonly text: string
  readonly user: string | null
  readonly secret: string
  readonly name: string | null
}

/**
 * The users of a PgBouncer, in its `auth_file`. A value is the secret of the user that the name is, or a user and a secret with a space between:
 * `{ app: '{verifier}' }` with `postgres-role`, `{ current: '{user} {verifier}', previous: '{previous.user} {previous.verifier}' }` with
 * `postgres-roles`.
 *
 * Give it the part `verifier`: a SCRAM secret must be the one of the server byte for byte, since PgBouncer logs in with what it has learnt from the
 * client. All lines change in one step, others stay; then `RELOAD`, from which on clients are let in by the new file. Clients may wait for
 * `server_login_retry` (15 s) if the server had refused PgBouncer before. Let the gate `logins` go through it. Where PgBouncer asks the server itself
 * (`auth_query`) nothing has to be stored.
 *
 * Facts: pgbouncer.org, config and usage; tried with 1.18.
 */
export default function pgbouncer({ path, console: admin, reconnect }: z.infer<typeof options>, world: World): Store {
  const file = new LockedFile(path)
  const where = 'the console of PgBouncer'
  const onConsole = async <T>({ signal }: Call, work: (session: PostgresSession) => Promise<T>): Promise<T | null> =>
    admin === undefined ? null : inPostgres({ where, url: await world.read(admin), signal }, work)
  return {
    check: async (call, names) => [
      ...names.filter((name) => !isName(name)).map((name) => fault(`${file.where}: "${name}" is no name of a user, or has a space in it`)),
      ...(await file.check()),
      ...(await findings(async () => (await onConsole(call, (session) => lookAt(session, path))) ?? [])),
    ],

    look: async (_, names) => {
      const entries = entriesOf((await file.read()) ?? '')
      return Object.fromEntries(names.map((name) => [name, held(entries, name)]))
    },

    write: async (call, values) => {
      const wanted = wantedOf(values, file.where)
      await file.change(call, (text) => withUsers(text ?? '', values, wanted))
      await onConsole(call, async (session) => {
        await session.query('RELOAD')
        if (reconnect) await session.query('RECONNECT')
      })
      return { version: null }
    },
  }
}

const fault = (sentence: string): Finding => ({ severity: 'fault', sentence })
const isName = (name: string): boolean => /^[^\s"\0]{1,63}$/.test(name)
const unquoted = (text: string): string => text.replaceAll('""', '"')

function entriesOf(text: string): Entry[] {
  return text.split('\n').map((each) => {
    const [, user, secret = '', name] = line.exec(each) ?? []
    return { text: each, user: user === undefined ? null : unquoted(user), secret: unquoted(secret), name: name ?? null }
  })
}

/** Whether a line is what stands under a name: it is marked with it, or is not marked and of the user of that name. */
const isUnder = ({ user, name: mark }: Entry, name: string): boolean => (mark === null ? user === name : mark === name)

function held(entries: readonly Entry[], name: string): Held {
  const found = entries.find((entry) => isUnder(entry, name))
  if (found === undefined) return null
  return { value: found.name === null ? found.secret : `${found.user} ${found.secret}` }
}

/** The lines to be, by their names. @throws a refusal of what the file cannot hold */
function wantedOf(values: Values, where: string): ReadonlyMap<string, { readonly user: string; readonly text: string }> {
  const wanted = new Map<string, { user: string; text: string }>()
  for (const [name, value] of Object.entries(values)) {
    if (value === null) continue
    const at = value.lastIndexOf(' ')
    const [user, secret] = at < 0 ? [name, value] : [value.slice(0, at), value.slice(at + 1)]
    if (!isName(name) || user === '' || secret === '' || /[\p{Cc}]/u.test(value))
      throw outside('refused', where, `it cannot hold what is to stand under "${name}"`)
    if ([...wanted.values()].some((other) => other.user === user))
      throw outside('refused', where, `two values are of user "${user}", and a PgBouncer knows one secret of each`)
    wanted.set(name, { user, text: `${quoted(user)} ${quoted(secret)}${at < 0 ? '' : ` ; keyturn ${name}`}` })
  }
  return wanted
}

/** Each line in the place of the one it replaces, new ones at the end. No other line of the same user stays: which of two counts is not defined. */
function withUsers(text: string, values: Values, wanted: ReturnType<typeof wantedOf>): string {
  const left = new Map(wanted)
  const users = new Set([...wanted.values()].map(({ user }) => user))
  const lines = entriesOf(text).flatMap((entry) => {
    const name = Object.keys(values).find((each) => isUnder(entry, each))
    const next = name === undefined ? undefined : left.get(name)
    if (name !== undefined && next !== undefined) {
      left.delete(name)
      return [next.text]
    }
    return name !== undefined || (entry.user !== null && users.has(entry.user)) ? [] : [entry.text]
  })
  const isOpen = lines.at(-1) !== ''
  const added = [...left.values()].map((each) => each.text)
  if (added.length === 0) return lines.join('\n')
  return [...(isOpen ? lines : lines.slice(0, -1)), ...added, ''].join('\n')
}

async function lookAt(session: PostgresSession, path: string): Promise<Finding[]> {
  const settings = new Map((await session.query<{ key: string; value: string }>('SHOW CONFIG')).map(({ key, value }) => [key, value]))
  const [file, type] = [settings.get('auth_file'), settings.get('auth_type') ?? '']
  return [
    file !== path && { severity: 'warning' as const, sentence: `PgBouncer says that its auth_file is another one than ${path}` },
    ['any', 'trust', 'cert', 'pam'].includes(type) && fault(`PgBouncer lets in by "${type}", not by the secrets of its file`),
  ].filter((one) => one !== false)
}
