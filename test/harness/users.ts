import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { afterAll, beforeEach, expect } from 'vitest'
import { type CommandOptions, type CommandRun, runCommand } from './command.ts'
import { useDatabase } from './postgres.ts'

export const OLD = randomBytes(32).toString('hex')
export const NEW = randomBytes(32).toString('hex')
export const OTHER = randomBytes(32).toString('hex')
const ROOT = randomBytes(32).toString('hex')
/** Where the command finds the keys. */
export const env = { OLD_KEY: OLD, NEW_KEY: NEW, OTHER_KEY: OTHER, ROOT_KEY: ROOT }

/** A value of the format hex-colon. */
export function seal(plaintext: string, key = OLD): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return [iv, cipher.getAuthTag(), ciphertext].map((part) => part.toString('hex')).join(':')
}

/** Opens it. @throws where the key is another */
export function open(stored: string, key: string): string {
  const [iv, tag, ciphertext] = stored.split(':').map((part) => Buffer.from(part, 'hex')) as [Buffer, Buffer, Buffer]
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key, 'hex'), iv).setAuthTag(tag)
  return decipher.update(ciphertext, undefined, 'utf8') + decipher.final('utf8')
}

/** Everything that any run here printed. At the end it is searched for every secret there was. */
let printed = ''
export const secrets = new Set([OLD, NEW, OTHER, ROOT, 'marked-plaintext'])

/** Runs the command, and keeps what it printed. */
export async function keyturn(argv: readonly string[], options: CommandOptions = {}): Promise<CommandRun> {
  const run = await runCommand(argv, { ...options, env: { ...(options.env ?? env), KEYTURN_DEBUG: '1' } })
  printed += run.stdout + run.stderr
  if (argv.includes('--json')) expect(run.stdout, 'one line of JSON').toMatch(/^\{[^\n]*\}\n$/)
  return run
}
afterAll(() => {
  expect(printed.length).toBeGreaterThan(1000)
  for (const secret of secrets) expect(printed.includes(secret), 'a secret was printed').toBe(false)
})

/** Remembers what else was printed. */
export function keep(text: string): void {
  printed += text
}

/** A database with a table of tokens, new for each test. */
export function useUsers() {
  const database = useDatabase()
  const keys = ['--format', 'hex-colon', '--key-rule', 'hex', '--old-env', 'OLD_KEY', '--new-env', 'NEW_KEY']
  const where = () => ['--database', database.url, '--field', 'users.token', ...keys]
  const values = async () => {
    const { rows } = await database.pool.query<{ token: string }>('SELECT token FROM users ORDER BY id')
    for (const { token } of rows) secrets.add(token)
    return rows.map(({ token }) => token)
  }
  const fill = async (count: number) => {
    const tokens = Array.from({ length: count }, (_, n) => seal(`marked-plaintext ${n}`))
    await database.pool.query('INSERT INTO users SELECT id, token FROM unnest($1::text[]) WITH ORDINALITY AS t (token, id)', [tokens])
    await database.pool.query('ANALYZE users')
    await values()
  }
  const opened = async (key: string) => (await values()).map((token, n) => open(token, key) === `marked-plaintext ${n}`)

  beforeEach(async () => {
    await database.pool.query(
      'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS users; CREATE TABLE users (id bigint PRIMARY KEY, token text)',
    )
    secrets.add(new URL(database.url).password || OLD)
  })

  return { database, where, values, fill, opened }
}
