import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { Pool } from 'pg'

/** The columns that hold ciphertext, by the name of their kind. */
export const columns = {
  jira: { table: 'jira_configs', column: 'encryptedToken' },
  github: { table: 'github_configs', column: 'encryptedToken' },
  slack: { table: 'slack_configs', column: 'encryptedToken' },
  webhooks: { table: 'webhooks', column: 'encryptedSecret' },
} as const
export type Kind = keyof typeof columns
export const kinds = Object.keys(columns) as Kind[]

const keyOf = (passphrase: string) => createHash('sha256').update(passphrase, 'utf8').digest()

/** What the application writes, in words of node:crypto alone. */
export function seal(plaintext: string, passphrase: string): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', keyOf(passphrase), iv)
  const sealed = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
  return [iv, cipher.getAuthTag(), sealed].map((part) => part.toString('hex')).join(':')
}

/** Null where it does not open under this key. */
export function unseal(stored: string, passphrase: string): string | null {
  const [iv = '', tag = '', sealed = ''] = stored.split(':')
  try {
    const decipher = createDecipheriv('aes-256-gcm', keyOf(passphrase), Buffer.from(iv, 'hex'))
    decipher.setAuthTag(Buffer.from(tag, 'hex'))
    return Buffer.concat([decipher.update(Buffer.from(sealed, 'hex')), decipher.final()]).toString('utf8')
  } catch {
    return null
  }
}

/** Everything stored, by `kind/id`. */
export async function readStored(pool: Pool): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const kind of kinds) {
    const { table, column } = columns[kind]
    const { rows } = await pool.query(`SELECT id, "${column}" AS stored FROM ${table} ORDER BY id`)
    for (const { id, stored } of rows) found.set(`${kind}/${id}`, stored)
  }
  return found
}

/** What opens under a key alone, by `kind/id`. */
export async function opened(pool: Pool, passphrase: string): Promise<Map<string, string>> {
  const all = [...(await readStored(pool))].map(([name, stored]) => [name, unseal(stored, passphrase)] as const)
  return new Map(all.flatMap(([name, plaintext]) => (plaintext === null ? [] : [[name, plaintext]])))
}

/** What a client sends for a configuration of each kind, beside its token. */
export const settingsOf = (kind: Kind, servicesUrl: string): Record<string, string> =>
  ({
    jira: { name: 'jira', baseUrl: `${servicesUrl}/jira`, email: 'bot@example.org' },
    github: { name: 'github', baseUrl: `${servicesUrl}/github` },
    slack: { teamId: 'T9', tokenType: 'bot', channel: '#releases' },
    webhooks: { url: `${servicesUrl}/hook` },
  })[kind]

/** Rows as an instance with this key left them. */
export async function fill(pool: Pool, servicesUrl: string, rows: ReadonlyMap<string, string>, passphrase: string): Promise<void> {
  for (const kind of kinds) {
    const { table, column } = columns[kind]
    const settings = settingsOf(kind, servicesUrl)
    const names = Object.keys(settings).map((name) => `"${name}"`)
    const own = [...rows].filter(([name]) => name.startsWith(`${kind}/`))
    const values = own.map(([name, token]) => ({ id: name.slice(kind.length + 1), [column]: seal(token, passphrase), ...settings }))
    const list = ['id', `"${column}"`, ...names]
    await pool.query(`INSERT INTO ${table} (${list}) SELECT ${list} FROM jsonb_populate_recordset(NULL::${table}, $1)`, [
      JSON.stringify(values),
    ])
  }
}
