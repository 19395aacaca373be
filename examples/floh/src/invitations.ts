import { randomBytes, randomUUID } from 'node:crypto'
import { type HashedTokens, open, storedToken, tokenForms } from '@keyturn/core'
import type { Pool } from 'pg'
import type { Db } from './tables.ts'

const LIFETIME_MS = 7 * 24 * 3_600_000

/** Links that let somebody in once. The table holds SHA-256 hashes; the token itself stands in the link alone. */
export class Invitations {
  readonly #db: Db

  constructor(db: Db) {
    this.#db = db
  }

  /** @returns the token for the link: nobody can ask for it again */
  async create(email: string): Promise<string> {
    const token = randomBytes(32).toString('hex')
    const expires_at = new Date(Date.now() + LIFETIME_MS)
    await this.#db
      .insertInto('invitation_token')
      .values({ id: randomUUID(), token: storedToken(token), email, expires_at })
      .execute()
    return token
  }

  /** Whom it invites; null for one that does not exist, was accepted or has expired. */
  async find(token: string): Promise<{ readonly email: string } | null> {
    const found = await this.#db
      .selectFrom('invitation_token')
      .select('email')
      .where('token', 'in', tokenForms(token))
      .where('accepted_by', 'is', null)
      .where('expires_at', '>', new Date())
      .executeTakeFirst()
    return found ?? null
  }

  /** @returns false for one that nobody can accept (any more) */
  async accept(token: string, user: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('invitation_token')
      .set({ accepted_by: user })
      .where('token', 'in', tokenForms(token))
      .where('accepted_by', 'is', null)
      .where('expires_at', '>', new Date())
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
}

/**
 * Replaces tokens that are stored as they are by their hashes, for good. Run again, it goes on with what is left.
 *
 * @param refusePlain - has the database refuse tokens that are not hashed: when no instance of before is left
 */
export async function hashInvitationTokens(pool: Pool, refusePlain = false): Promise<HashedTokens> {
  const keyturn = await open({ keyrings: {}, fields: {} }, { pool, actor: 'floh:migration' })
  try {
    const hashed = await keyturn.hashTokens('invitation_token.token', { refusePlain, throttle: { share: 1 } })
    if (hashed.now.plain > 0) throw new Error('some invitation tokens could not be hashed')
    return hashed
  } finally {
    await keyturn.close()
  }
}
