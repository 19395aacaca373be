import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { type Config, fail, isVariableName, variableOf } from '@keyturn/core'
import pglite, { pgliteState } from '@keyturn/core/databases/pglite'
import postgres, { pgState } from '@keyturn/core/databases/postgres'
import pg from 'pg'
import type { Call } from './call.ts'
import { lockFolder } from './embedded-lock.ts'
import { kindOf } from './failure.ts'
import type { Io } from './io.ts'

/** A database as the command has opened it. */
export type Opened = ({ readonly pool: pg.Pool } | { readonly pglite: PGlite }) & { close(): Promise<void> }

/** What the usual codes mean, in words. */
const reasons: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host could not be looked up',
  ETIMEDOUT: 'no answer',
  ECONNRESET: 'the connection was closed',
  '28P01': 'the password was not accepted',
  '28000': 'the user was not accepted',
  '3D000': 'there is no such database',
  '53300': 'it has too many connections',
  '57P03': 'it is starting up',
}

/**
 * The address of the database: `--database`, else that of the configuration.
 *
 * @throws `ERR_USAGE` where there is none, `ERR_ENV_MISSING` where its variable is not set
 */
export async function databaseAddress(io: Io, option: string | undefined, config: Config | null): Promise<string> {
  if (option?.startsWith('env:')) return variable(io, option.slice('env:'.length))
  if (option !== undefined) return option
  const ref = config?.database
  if (ref === undefined)
    throw fail('ERR_USAGE', 'say which database: --database postgres://…, pglite:FOLDER or env:NAME, or "database" in the configuration')
  if ('env' in ref) return variable(io, ref.env)
  const text = await readFile(resolve(io.cwd, ref.file), 'utf8').catch((error: unknown) => {
    throw fail('ERR_USAGE', `the file that holds the address of the database cannot be read (${kindOf(error)})`)
  })
  return text.trim()
}

function variable(io: Io, name: string): string {
  if (!isVariableName(name)) throw fail('ERR_USAGE', '--database env:NAME needs the name of an environment variable')
  const value = variableOf(io.env, name)
  if (value === undefined) throw fail('ERR_ENV_MISSING', name, 'the address of the database')
  return value.trim()
}

/**
 * Opens a database by its address and sees whether it answers. No message repeats the address.
 *
 * @param how.create - whether an embedded database that is not there may be made
 * @throws `ERR_USAGE` for an address of no known kind, `ERR_DATABASE` where it does not answer, `ERR_STATE_IN_USE` where another
 * process has the folder
 */
export async function openDatabase(address: string, cwd: string, how: { readonly create: boolean }): Promise<Opened> {
  if (/^postgres(ql)?:\/\//.test(address)) return openPool(address)
  const folder =
    /^pglite:(?:\/\/)?(.+)$/.exec(address)?.[1] ?? (address.startsWith('file:') ? address.slice('file:'.length).replace(/^\/\//, '') : null)
  if (folder !== null) return openFolder(resolve(cwd, folder), how)
  throw fail('ERR_USAGE', 'the address of the database is of no kind that is known. Use postgres://user@host/name or pglite:FOLDER')
}

async function openPool(connectionString: string): Promise<Opened> {
  let pool: pg.Pool | null = null
  try {
    pool = new pg.Pool({ connectionString, max: 3, application_name: 'keyturn', connectionTimeoutMillis: 15_000 })
    // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
    pool.on('error', () => {})
    await pool.query('SELECT 1')
  } catch (error) {
    await pool?.end().catch(() => {})
    throw fail('ERR_DATABASE', reasonOf(error), 'connecting')
  }
  const opened = pool
  return { pool: opened, close: () => opened.end() }
}

function reasonOf(error: unknown): string {
  // Several addresses of one host were tried: all failed.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  const code = kindOf(first)
  if (code === 'Error' && first instanceof Error && /timeout/i.test(first.message)) return 'no answer within 15 s'
  const reason = reasons[code]
  return reason === undefined ? code : `${code}: ${reason}`
}

async function openFolder(folder: string, { create }: { readonly create: boolean }): Promise<Opened> {
  if (!existsSync(folder)) {
    if (!create) throw fail('ERR_USAGE', `there is no embedded database at ${folder}. "keyturn init" makes one`)
    await mkdir(dirname(folder), { recursive: true })
    // PGlite makes files that everybody may write: nobody else may come near them.
    await mkdir(folder, { recursive: true, mode: 0o700 })
  }
  const unlock = lockFolder(folder)
  try {
    const pglite = await PGlite.create(folder)
    return {
      pglite,
      close: async () => {
        await pglite.close()
        unlock()
      },
    }
  } catch (error) {
    unlock()
    throw fail('ERR_DATABASE', kindOf(error), 'opening the embedded database')
  }
}

/** Our own tables in an opened database. */
export const stateOf = (database: Opened, schema = 'keyturn') =>
  'pool' in database ? pgState(database.pool, schema) : pgliteState(database.pglite, schema)

/** Opens the database of a command line, does the work, and closes it. */
export async function withDatabase<T>(
  { io, options }: Call,
  config: Config | null,
  work: (database: Opened) => Promise<T>,
  how: { readonly create: boolean } = { create: false },
): Promise<T> {
  const database = await openDatabase(await databaseAddress(io, options.database, config), io.cwd, how)
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

/** The client as the library takes it. */
export const client = (database: Opened) => ('pool' in database ? { pool: database.pool } : { pglite: database.pglite })

/** The driver of an opened database: for what can be known of rotations and holds without keys, whoever made them. */
export const driverOf = (database: Opened, schema = 'keyturn') =>
  'pool' in database ? postgres({ pool: database.pool, schema }) : pglite({ pglite: database.pglite, schema })
