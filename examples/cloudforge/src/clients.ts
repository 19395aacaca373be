import { createHash, timingSafeEqual } from 'node:crypto'
import type { Pool } from 'pg'

const hashOf = (secret: string) => createHash('sha256').update(secret).digest()

/** Whoever may use the API: programs with a secret of 32 random bytes, of which the database has the hash. */
export class Clients {
  readonly #pool: Pool

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** @returns the name where the secret is right, else null */
  async check(name: string, secret: string): Promise<string | null> {
    const { rows } = await this.#pool.query<{ hash: Buffer }>('SELECT secret_hash AS hash FROM api_client WHERE name = $1', [name])
    const kept = rows[0]?.hash ?? Buffer.alloc(32)
    return timingSafeEqual(kept, hashOf(secret)) ? name : null
  }
}

/** Makes the tables, as the owner of the database, and a client that deployments are tried with. May be repeated. */
export async function migrate(
  pool: Pick<Pool, 'query'>,
  { owner, smoke }: { readonly owner: string; readonly smoke: string },
): Promise<void> {
  const role = `"${owner.replaceAll('"', '""')}"`
  await pool.query(`
    CREATE TABLE IF NOT EXISTS api_client (name text PRIMARY KEY, secret_hash bytea NOT NULL);
    CREATE TABLE IF NOT EXISTS project (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
    ALTER TABLE api_client OWNER TO ${role};
    ALTER TABLE project OWNER TO ${role};
    INSERT INTO project (name) VALUES ('anvil'), ('bellows') ON CONFLICT DO NOTHING`)
  await pool.query('INSERT INTO api_client VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET secret_hash = excluded.secret_hash', [
    'smoke',
    hashOf(smoke),
  ])
}
