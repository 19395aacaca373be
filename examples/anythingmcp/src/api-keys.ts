import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Pool } from 'pg'
import type { CredentialCrypto } from './crypto.ts'

const hash = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex')

/** Whether two texts are the same, in a time that does not tell where they differ. */
export function sameText(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(hash(a)), Buffer.from(hash(b)))
}

/** The keys with which a user's MCP clients call connectors. */
export class ApiKeys {
  readonly #pool: Pool
  readonly #crypto: CredentialCrypto

  constructor(pool: Pool, crypto: CredentialCrypto) {
    this.#pool = pool
    this.#crypto = crypto
  }

  async create(userId: string, name: string): Promise<string> {
    const key = `mcp_${randomBytes(32).toString('hex')}`
    await this.#pool.query('INSERT INTO mcp_api_keys (id, user_id, key, key_hash, name) VALUES ($1, $2, $3, $4, $5)', [
      randomUUID(),
      userId,
      this.#crypto.encrypt(key),
      hash(key),
      name,
    ])
    return key
  }

  /** The keys of a user, as the settings page shows them. */
  async list(userId: string): Promise<{ name: string; key: string }[]> {
    const { rows } = await this.#pool.query<{ name: string; sealed: string }>(
      'SELECT name, key AS sealed FROM mcp_api_keys WHERE user_id = $1 AND is_active ORDER BY created_at, id',
      [userId],
    )
    return rows.map(({ name, sealed }) => ({ name, key: this.#crypto.decrypt(sealed) }))
  }

  /** Whose key it is; null for one that does not exist or was revoked. */
  async userOf(key: string): Promise<string | null> {
    const { rows } = await this.#pool.query<{ id: string; user_id: string; sealed: string }>(
      'SELECT id, user_id, key AS sealed FROM mcp_api_keys WHERE key_hash = $1 AND is_active',
      [hash(key)],
    )
    const [found] = rows
    // The hash alone could have been planted beside somebody else's key; without ENCRYPTION_KEY the ciphertext could not.
    if (found === undefined || !sameText(this.#crypto.decrypt(found.sealed), key)) return null
    await this.#pool.query('UPDATE mcp_api_keys SET last_used_at = now() WHERE id = $1', [found.id])
    return found.user_id
  }
}
