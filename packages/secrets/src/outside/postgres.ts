import { fail } from '@keyturn/core'
import { z } from 'zod'
import { type FailureKind, outside } from './failure.ts'

/** How a Postgres, or a bouncer before one, is logged in to. */
export interface PostgresLogin {
  /** Who is asked, for messages: `Postgres, role "app_a"`. */
  readonly where: string
  /** Address, with or without a login: `user` and `password` come first. */
  readonly url: string
  readonly user?: string
  readonly password?: string
  readonly signal: AbortSignal
}

/** One connection, made for one piece of work. */
export interface PostgresSession {
  /** Whether the server asked for the password. Where it did not, it lets everybody in, and a log-in proves nothing. */
  readonly asked: boolean
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

/** An address without a login in it, as consumers reach the database. */
export const postgresAddress = z
  .string()
  .refine(
    (text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text) && new URL(text).username === '' && new URL(text).password === '',
    {
      error: 'expected an address such as postgres://db.internal:5432/app, without a login in it',
    },
  )

const CONNECT_MS = 10_000
/** Nothing was sent yet. */
const unreachable = /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|ENOENT)$/
/** SQLSTATEs of a server that has no room or no time now: too many connections, starting, a lock, a conflict, a canceled statement. */
const passing = /^(53|40|55P03|57014|57P03)/
/** A wrong login. PgBouncer says 08P01 for everything at this point. */
const loginRefused = /^(28|08P01)/

/**
 * Does some work in a connection of its own, and closes it.
 *
 * @throws what `outside` makes. Before the log-in nothing can have happened: busy or refused. A connection that breaks later is uncertain. Of what
 * Postgres says only the SQLSTATE is in a message: a detail may quote a statement
 */
export async function inPostgres<T>(login: PostgresLogin, work: (session: PostgresSession) => Promise<T>): Promise<T> {
  const opened = await open(login)
  if ('code' in opened) throw outside('refused', login.where, `the log-in failed (${opened.code})`)
  return during(opened, login, work)
}

/**
 * Logs in and looks who it is.
 *
 * @returns the role as which the server sees us and whether it asked for the password, or the SQLSTATE of the refusal
 * @throws busy where nobody could be asked
 */
export async function tryPostgres(
  login: PostgresLogin,
): Promise<{ readonly user: string; readonly asked: boolean } | { readonly code: string }> {
  const opened = await open(login)
  if ('code' in opened) return opened
  try {
    return await during(opened, login, async (session) => {
      const [row] = await session.query<{ user: string }>('SELECT session_user AS user')
      return { user: row?.user ?? '', asked: session.asked }
    })
  } catch (error) {
    // A bouncer lets in first and logs in to the server when it is asked something.
    const code = opened.failure()
    if (loginRefused.test(code)) return { code }
    throw error
  }
}

/** An identifier in a statement. Utility statements take no parameters. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

interface Opened {
  readonly client: { end(): Promise<void> }
  readonly session: PostgresSession
  /** The SQLSTATE of the last statement that failed; empty for none. */
  failure(): string
}

async function during<T>(
  { client, session }: Opened,
  { signal }: PostgresLogin,
  work: (session: PostgresSession) => Promise<T>,
): Promise<T> {
  // A statement that waits would keep us after the caller has gone.
  const stop = () => void client.end()
  signal.addEventListener('abort', stop)
  try {
    return await work(session)
  } finally {
    signal.removeEventListener('abort', stop)
    await client.end().catch(() => {})
  }
}

async function open({ where, url, user, password, signal }: PostgresLogin): Promise<Opened | { readonly code: string }> {
  if (signal.aborted) throw outside('busy', where, 'there was no time left to ask')
  const pg = await import('pg').catch(() => null)
  if (pg === null) throw fail('ERR_USAGE', 'this part needs the Postgres client: npm install pg')
  let [asked, failure] = [false, '']
  if (!URL.canParse(url) || !/^postgres(ql)?:/.test(url)) throw outside('refused', where, 'its address is not one of Postgres')
  // A password in a connection string would come before ours.
  const { host, port, ssl, database, user: named } = new pg.Client({ connectionString: url })
  const client = new pg.Client({
    host,
    port,
    ssl,
    // Else it would be that of the system's user.
    ...(database !== undefined && new URL(url).pathname.length > 1 && { database }),
    ...((user ?? named) !== undefined && { user: user ?? named }),
    // Only called when the server asks.
    password: () => {
      asked = true
      return password ?? decodeURIComponent(new URL(url).password)
    },
    application_name: 'keyturn',
    connectionTimeoutMillis: CONNECT_MS,
  })
  // Without a listener a connection that breaks while nobody waits for it ends the process.
  client.on('error', () => {})
  const failed = await inTime(client.connect(), signal).then(
    () => null,
    (error: unknown) => error,
  )
  if (failed !== null) {
    void client.end()
    const code = codeOf(failed)
    if (loginRefused.test(code)) return { code }
    const kind = passing.test(code) || unreachable.test(code) || /timeout|terminated|abort/i.test(String(failed)) ? 'busy' : 'refused'
    throw outside(kind, where, `it cannot be connected to${code === '' ? '' : ` (${code})`}`)
  }
  const session: PostgresSession = {
    get asked() {
      return asked
    },
    query: async <Row extends object>(text: string, values?: readonly unknown[]) => {
      try {
        // Without values it is the simple protocol, the only one that the console of PgBouncer speaks.
        const { rows } = await (values === undefined ? client.query(text) : client.query(text, [...values]))
        return rows as Row[]
      } catch (error) {
        const code = codeOf(error)
        failure = code
        throw outside(kindOfCode(code), where, code === '' ? 'the connection broke' : `it answered ${code}`)
      }
    },
  }
  return { client, session, failure: () => failure }
}

/** The client does not listen to a signal while it connects. */
async function inTime(connecting: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new Error('aborted'))
    signal.addEventListener('abort', stop)
  })
  try {
    await Promise.race([connecting, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
    connecting.catch(() => {})
  }
}

/** What a statement's SQLSTATE means. One that ended the connection (57P01, 57P02) may have come after a commit. */
function kindOfCode(code: string): FailureKind {
  if (passing.test(code)) return 'busy'
  return code === '' || unreachable.test(code) || /^(57P|08)/.test(code) ? 'uncertain' : 'refused'
}

function codeOf(error: unknown): string {
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { readonly code?: unknown }
  return typeof code === 'string' && /^\w{1,40}$/.test(code) ? code : ''
}
