import { createHash } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'

/** The longest that a token lives, in seconds. The grace of the rotation is longer. */
export const TOKEN_SECONDS = 3_600

/** What tokens are signed with, and what they may be signed with. */
export class Tokens {
  readonly #keys: ReadonlyMap<string, Uint8Array>
  readonly #active: string

  /** @param secrets - the first one signs; all verify */
  constructor(secrets: readonly string[]) {
    this.#keys = new Map(secrets.map((secret) => [kidOf(secret), new TextEncoder().encode(secret)]))
    this.#active = kidOf(secrets[0] ?? '')
  }

  async issue(subject: string): Promise<string> {
    const key = this.#keys.get(this.#active) as Uint8Array
    return await new SignJWT()
      .setProtectedHeader({ alg: 'HS256', kid: this.#active })
      .setSubject(subject)
      .setIssuedAt()
      .setExpirationTime(`${TOKEN_SECONDS}s`)
      .sign(key)
  }

  /** @returns whom the token names; null where it is not one of ours */
  async subjectOf(token: string): Promise<string | null> {
    try {
      const { payload } = await jwtVerify(token, ({ kid = '' }) => this.#keyOf(kid), { algorithms: ['HS256'] })
      return payload.sub ?? null
    } catch {
      return null
    }
  }

  #keyOf(kid: string): Uint8Array {
    const key = this.#keys.get(kid)
    if (key === undefined) throw new Error('no such key')
    return key
  }
}

/** Names a secret and tells nothing of it: 64 random bytes cannot be guessed from a hash. */
const kidOf = (secret: string) => createHash('sha256').update('cloudforge-kid:').update(secret).digest('base64url').slice(0, 12)
