import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import jwt from 'jsonwebtoken'

const LIFETIME = '12h'

/** Who is logged in. */
export interface Session {
  readonly user: string
}

/**
 * What `JWT_SECRET` signs: the tokens of users and the cookies of OAuth. Nothing here is encrypted, and nothing here knows
 * `ENCRYPTION_MASTER_KEY`.
 */
export class Sessions {
  readonly #secret: string
  readonly #accepted: readonly string[]

  /**
   * @param secret - `JWT_SECRET` signs
   * @param previous - `JWT_SECRET_PREVIOUS`, where it is set, is accepted as well: what signed until now, or will from the next restart on
   */
  constructor(secret: string, previous: string) {
    this.#secret = secret
    this.#accepted = previous === '' ? [secret] : [secret, previous]
  }

  issue({ user }: Session): string {
    return jwt.sign({}, this.#secret, { algorithm: 'HS256', subject: user, expiresIn: LIFETIME })
  }

  /** @returns null for a token that is not ours or has expired */
  verify(token: string): Session | null {
    for (const secret of this.#accepted) {
      try {
        const { sub } = jwt.verify(token, secret, { algorithms: ['HS256'] }) as jwt.JwtPayload
        if (sub !== undefined) return { user: sub }
      } catch {}
    }
    return null
  }

  /** A cookie's value with its signature. */
  sign(value: object): string {
    const text = Buffer.from(JSON.stringify(value)).toString('base64url')
    return `${text}.${signature(text, this.#secret)}`
  }

  /** What `sign` was given; null for what it did not sign. */
  unsign(signed: string): { readonly [name: string]: unknown } | null {
    const [text = '', given = ''] = signed.split('.')
    if (!this.#accepted.some((secret) => sameText(given, signature(text, secret)))) return null
    return JSON.parse(Buffer.from(text, 'base64url').toString())
  }
}

// The name keeps cookies and tokens apart: neither passes for the other, although one secret signs both.
const signature = (text: string, secret: string) => createHmac('sha256', secret).update(`forkpoint.cookie.${text}`).digest('base64url')

/** Whether two texts are the same, in a time that does not tell where they differ. */
export function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
