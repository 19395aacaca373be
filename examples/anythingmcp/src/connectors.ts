import { randomUUID } from 'node:crypto'
import type { Pool, PoolClient } from 'pg'
import type { CredentialCrypto } from './crypto.ts'

export const connectorTypes = ['REST', 'SOAP', 'GRAPHQL', 'DATABASE', 'MCP'] as const
export type ConnectorType = (typeof connectorTypes)[number]

/** What a connector authenticates with: an API key, a password, a client secret. Stored as one encrypted text. */
export type Credentials = { readonly [name: string]: string }

/** A connector as lists show it: without credentials. */
export interface Connector {
  readonly id: string
  readonly name: string
  readonly type: ConnectorType
  readonly baseUrl: string
  readonly authType: string
}
export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string | null
  /** ISO 8601. */
  readonly expiresAt: string
}

const columns = 'id, name, type, base_url AS "baseUrl", auth_type AS "authType"'

/** Connectors and their credentials, in the application's own tables and under its own key. */
export class Connectors {
  readonly #pool: Pool
  readonly #crypto: CredentialCrypto

  constructor(pool: Pool, crypto: CredentialCrypto) {
    this.#pool = pool
    this.#crypto = crypto
  }

  async list(): Promise<Connector[]> {
    return (await this.#pool.query<Connector>(`SELECT ${columns} FROM connectors ORDER BY id LIMIT 1000`)).rows
  }

  async find(id: string): Promise<Connector | null> {
    return (await this.#pool.query<Connector>(`SELECT ${columns} FROM connectors WHERE id = $1 AND is_active`, [id])).rows[0] ?? null
  }

  /** Creates a connector, or replaces it. */
  async save({ id, name, type, baseUrl, authType }: Connector, credentials: Credentials): Promise<void> {
    await this.#pool.query(
      `INSERT INTO connectors AS c (id, name, type, base_url, auth_type, auth_config) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type, base_url = excluded.base_url,
           auth_type = excluded.auth_type, auth_config = excluded.auth_config, updated_at = now()`,
      [id, name, type, baseUrl, authType, this.#crypto.encrypt(JSON.stringify(credentials))],
    )
  }

  async credentials(id: string): Promise<Credentials> {
    const { rows } = await this.#pool.query<{ sealed: string | null }>('SELECT auth_config AS sealed FROM connectors WHERE id = $1', [id])
    const sealed = rows[0]?.sealed
    return sealed ? JSON.parse(this.#crypto.decrypt(sealed)) : {}
  }

  async tokens(id: string): Promise<Tokens | null> {
    const { rows } = await this.#pool.query<StoredTokens>(selectTokens, [id])
    return rows[0] === undefined ? null : this.#opened(rows[0])
  }

  async saveTokens(id: string, tokens: Tokens): Promise<void> {
    await this.#pool.query(
      `INSERT INTO connector_auth_cache AS t (id, connector_id, token, refresh_token, expires_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (connector_id) DO UPDATE SET token = excluded.token, refresh_token = excluded.refresh_token,
           expires_at = excluded.expires_at, updated_at = now()`,
      [randomUUID(), id, ...this.#sealed(tokens)],
    )
  }

  /**
   * Exchanges the tokens of a connector for new ones.
   *
   * The provider ends the old refresh token as it gives the new one, so that a new one that cannot be stored is lost. The row is
   * therefore written before the provider is asked: a hold refuses that, and a rotation waits for the transaction.
   */
  async renewTokens(id: string, renew: (tokens: Tokens) => Promise<Tokens>): Promise<Tokens | null> {
    const client = await this.#pool.connect()
    try {
      await client.query('BEGIN')
      const renewed = await this.#renew(client, id, renew)
      await client.query('COMMIT')
      client.release()
      return renewed
    } catch (error) {
      // A connection in an unknown state is not used again.
      await client.query('ROLLBACK').then(
        () => client.release(),
        () => client.release(true),
      )
      throw error
    }
  }

  async #renew(client: PoolClient, id: string, renew: (tokens: Tokens) => Promise<Tokens>): Promise<Tokens | null> {
    const { rows } = await client.query<StoredTokens>(
      `UPDATE connector_auth_cache SET token = token WHERE connector_id = $1 RETURNING token, refresh_token, expires_at`,
      [id],
    )
    if (rows[0] === undefined) return null
    const current = this.#opened(rows[0])
    // Somebody else was first: their tokens are fresh.
    if (!expired(current)) return current
    const renewed = await renew(current)
    await client.query(
      'UPDATE connector_auth_cache SET token = $2, refresh_token = $3, expires_at = $4, updated_at = now() WHERE connector_id = $1',
      [id, ...this.#sealed(renewed)],
    )
    return renewed
  }

  #opened({ token, refresh_token: refresh, expires_at: at }: StoredTokens): Tokens {
    return {
      accessToken: this.#crypto.decrypt(token),
      refreshToken: refresh === null ? null : this.#crypto.decrypt(refresh),
      expiresAt: at.toISOString(),
    }
  }

  #sealed({ accessToken, refreshToken, expiresAt }: Tokens): (string | null)[] {
    return [this.#crypto.encrypt(accessToken), refreshToken === null ? null : this.#crypto.encrypt(refreshToken), expiresAt]
  }
}

export const expired = ({ expiresAt }: Tokens): boolean => Date.parse(expiresAt) <= Date.now()

interface StoredTokens {
  readonly token: string
  readonly refresh_token: string | null
  readonly expires_at: Date
}
const selectTokens = 'SELECT token, refresh_token, expires_at FROM connector_auth_cache WHERE connector_id = $1'
