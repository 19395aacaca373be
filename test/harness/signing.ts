import { createHmac } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { type Algorithm, type Keyturn, open, type SigningKeyring } from '../../packages/core/src/index.ts'
import { useDatabase } from './postgres.ts'

/** What is stated of the tokens of these keyrings. */
export const tokens = { lifetime: '1h', skew: '1m', jwksCache: '1s', offline: '10s' } as const

/** Keyrings that sign, for the file that calls this. */
export interface SigningWorld {
  /** The stored one of this algorithm. */
  readonly ring: (algorithm: Algorithm) => SigningKeyring
  /** One of secrets of the environment, as in step A or B of a rotation: the first signs. */
  readonly byEnvironment: (secret: string, previous: string) => Promise<SigningKeyring>
}

/** A stored keyring for each of these algorithms, and keyrings of the environment, opened for the file that calls this. */
export function useSigningKeyrings(algorithms: readonly Algorithm[]): SigningWorld {
  const database = useDatabase()
  const opened: Keyturn[] = []
  beforeAll(async () => {
    const keyrings = Object.fromEntries(algorithms.map((sign) => [sign, { root: { env: 'ROOT' }, sign, tokens }]))
    opened.push(await open({ refreshMs: 1_000, keyrings, fields: {} }, { pool: database.pool, env: { ROOT: '5e'.repeat(32) } }))
  })
  afterAll(async () => {
    for (const keyturn of opened) await keyturn.close()
  })
  return {
    ring: (algorithm) => (opened[0] as Keyturn).signing(algorithm),
    byEnvironment: async (secret, previous) => {
      const keys = { primary: { env: 'JWT_SECRET' }, previous: [{ env: 'JWT_PREVIOUS_SIGNING_KEY' }] }
      const keyrings = { jwt: { ...keys, sign: 'HS256', tokens } } as const
      const env = { JWT_SECRET: secret, JWT_PREVIOUS_SIGNING_KEY: previous }
      const keyturn = await open({ keyrings, fields: {} }, { pool: database.pool, env })
      opened.push(keyturn)
      return keyturn.signing('jwt')
    },
  }
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token of HS256 as any library makes one, which knows nothing of keyrings. */
export function foreignToken(secret: string | Buffer, header: object = {}, claims: object = {}): string {
  const signed = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + 60, ...claims })}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
