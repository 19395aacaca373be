import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Pool } from 'pg'
import { credentialCrypto } from '../../examples/anythingmcp/src/crypto.ts'
import { type ChildExit, root, startChild } from '../harness/child.ts'
import { type Answer, ask } from './asking.ts'
import type { Image } from './image.ts'
import { startInstance } from './instance.ts'

/** 32 characters, as the application takes them. */
export const newKey = () => randomBytes(24).toString('base64')

const adminToken = randomBytes(16).toString('hex')

/** Everything that a process of the example printed. Searched for secrets at the end. */
export const printed: string[] = []

export interface Environment {
  readonly [name: string]: string | undefined
}

/** The application, in a process of its own. */
export interface Application {
  readonly url: string
  ask(method: string, path: string, body?: object, key?: string): Promise<Answer>
  stop(): Promise<void>
}

export async function startApplication(image: Image, databaseUrl: string, keys: Environment): Promise<Application> {
  const child = startChild(join(image.folder, 'dist', 'main.js'), [], {
    cwd: image.folder,
    node: [],
    env: { ...noKeys, DATABASE_URL: databaseUrl, ADMIN_TOKEN: adminToken, HOST: '127.0.0.1', PORT: '0', ...keys },
  })
  const { url, stop } = await startInstance(child, printed)
  return {
    url,
    stop,
    ask: (method, path, body, token = adminToken) => ask(url, method, path, { token, ...(body === undefined ? {} : { body }) }),
  }
}

/** What a developer's own shell may have set. */
const noKeys: Environment = {
  OLD_ENCRYPTION_KEY: undefined,
  NEW_ENCRYPTION_KEY: undefined,
  ENCRYPTION_KEY: undefined,
  ENCRYPTION_KEY_PREVIOUS: undefined,
}

/** Starts the compiled command as the container would. */
export function startCommand(image: Image, args: readonly string[], env: Environment) {
  const child = startChild(join(image.folder, 'dist', 'scripts', 'rotate-encryption-key.js'), args, {
    cwd: image.folder,
    node: [],
    env: { ...noKeys, ...env },
  })
  child.exit.then(({ stdout, stderr }) => printed.push(stdout, stderr))
  return child
}

export async function runCommand(image: Image, args: readonly string[], env: Environment, input = ''): Promise<ChildExit> {
  const child = startCommand(image, args, env)
  child.write(input)
  child.end()
  return await child.exit
}

/** The commands of SECURITY.md that run `rotate-encryption-key`, each as one line of shell. */
export function documentedCommands(): string[] {
  const text = readFileSync(join(root, 'examples', 'anythingmcp', 'SECURITY.md'), 'utf8')
  const shell = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, code = '']) => code.replaceAll(/\|\n\s*/g, '| '))
  return shell.flatMap((code) => code.split('\n').filter((line) => line.includes('rotate-encryption-key.js')))
}

/** Runs a documented command in the container's place: `docker compose exec` is what is left out. */
export async function runDocumented(image: Image, command: string, env: Environment): Promise<Omit<ChildExit, 'signal'>> {
  const inside = command.replace(/docker compose exec (-T )?app /, '')
  const path = `${dirname(process.execPath)}:${process.env.PATH}`
  const child = spawn('sh', ['-c', inside], { cwd: image.folder, env: { ...process.env, ...noKeys, PATH: path, ...env } })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (chunk) => (output[name] += chunk))
  const [code] = await once(child, 'close')
  printed.push(output.stdout, output.stderr)
  return { code, ...output }
}

export const connectorTypes = ['REST', 'SOAP', 'GRAPHQL', 'DATABASE', 'MCP'] as const

/** What the application should hold: plaintexts by the row that they stand in. */
export interface Ledger {
  readonly credentials: Map<string, string>
  readonly tokens: Map<string, string>
  readonly keys: Set<string>
}
export const newLedger = (): Ledger => ({ credentials: new Map(), tokens: new Map(), keys: new Set() })

/** Fills the tables as an application under `key` did over the years: tokens for every fifth connector, a key for every tenth. */
export async function fill(pool: Pool, connectors: number, key: string): Promise<Ledger> {
  const { encrypt } = credentialCrypto(key)
  const ledger = newLedger()
  const rows = Array.from({ length: connectors }, (_, n) => {
    const id = `connector-${n}`
    const credentials = JSON.stringify({ apiKey: `marked-${randomBytes(9).toString('hex')}` })
    ledger.credentials.set(id, credentials)
    return { id, type: connectorTypes[n % 5], credentials: encrypt(credentials) }
  })
  await pool.query(
    `INSERT INTO connectors (id, name, type, base_url, auth_type, auth_config)
       SELECT id, 'connector', type, 'http://127.0.0.1:9', 'API_KEY', credentials
       FROM jsonb_to_recordset($1::jsonb) AS r(id text, type text, credentials text)`,
    [JSON.stringify(rows)],
  )
  const tokens = rows
    .filter((_, n) => n % 5 === 2)
    .map(({ id }) => {
      const [access, refresh] = [`marked-access-${id}`, `marked-refresh-${id}`]
      ledger.tokens.set(id, `${access} ${refresh}`)
      return { id, token: encrypt(access), refresh: encrypt(refresh) }
    })
  await pool.query(
    `INSERT INTO connector_auth_cache (id, connector_id, token, refresh_token, expires_at)
       SELECT 't' || id, id, token, refresh, now() + interval '1 day' FROM jsonb_to_recordset($1::jsonb) AS r(id text, token text, refresh text)`,
    [JSON.stringify(tokens)],
  )
  const keys = Array.from({ length: Math.floor(connectors / 10) }, (_, n) => {
    const key = `mcp_${randomBytes(32).toString('hex')}`
    ledger.keys.add(key)
    return { key: encrypt(key), hash: randomBytes(32).toString('hex'), userId: `user-${n % 1000}-of-old` }
  })
  await pool.query(
    `INSERT INTO mcp_api_keys (id, user_id, key, key_hash, name)
       SELECT 'k' || hash, "userId", key, hash, 'client' FROM jsonb_to_recordset($1::jsonb) AS r(key text, hash text, "userId" text)`,
    [JSON.stringify(keys)],
  )
  await pool.query('ANALYZE')
  return ledger
}

/** Everything in the tables, opened by the application's own crypto. @throws for a value that does not open under `key` alone */
export async function readLedger(pool: Pool, key: string): Promise<Ledger> {
  const { decrypt } = credentialCrypto(key)
  const ledger = newLedger()
  for (const { id, value } of (await pool.query('SELECT id, auth_config AS value FROM connectors')).rows)
    ledger.credentials.set(id, decrypt(value))
  for (const { id, token, refresh } of (
    await pool.query('SELECT connector_id AS id, token, refresh_token AS refresh FROM connector_auth_cache')
  ).rows)
    ledger.tokens.set(id, `${decrypt(token)} ${decrypt(refresh)}`)
  for (const { key } of (await pool.query('SELECT key FROM mcp_api_keys')).rows) ledger.keys.add(decrypt(key))
  return ledger
}

/** All stored bytes, for "nothing was changed". */
export async function snapshot(pool: Pool): Promise<string> {
  const parts = ['connectors', 'connector_auth_cache', 'mcp_api_keys'].map(
    (table) => `SELECT '${table}' AS name, md5(string_agg(t::text, ',' ORDER BY id)) AS digest, count(*) FROM ${table} t`,
  )
  return JSON.stringify((await pool.query(parts.join(' UNION ALL '))).rows)
}

/** How many values of each text column of the database open under a key, whatever column that is. */
export async function opening(pool: Pool, key: string): Promise<Record<string, number>> {
  const { decrypt } = credentialCrypto(key)
  const opens = (value: string) => {
    try {
      decrypt(value)
      return true
    } catch {
      return false
    }
  }
  const { rows: columns } = await pool.query<{ table: string; column: string }>(
    `SELECT table_name AS table, column_name AS column FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text'`,
  )
  const counts: Record<string, number> = {}
  for (const { table, column } of columns) {
    const { rows } = await pool.query(`SELECT "${column}" AS value FROM "${table}" WHERE "${column}" IS NOT NULL`)
    const count = rows.filter(({ value }) => opens(value)).length
    if (count > 0) counts[`${table}.${column}`] = count
  }
  return counts
}
