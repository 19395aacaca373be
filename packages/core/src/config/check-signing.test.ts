import { expect, test } from 'vitest'
import { algorithms } from '../signing/algorithm.ts'
import { validateConfig } from './validate.ts'

const root = { env: 'ROOT' }
const primary = { env: 'JWT_SECRET' }
const field = { column: 'a.b', keyring: 'app' }

test.each([
  ...algorithms.map((sign) => ({ jwt: { root, sign } })),
  { jwt: { root, sign: 'ES256', tokens: { lifetime: '1h', skew: '30s', jwksCache: '10m', offline: '10s' } } },
  { jwt: { primary, sign: 'HS512', keyRule: 'base64', tokens: { lifetime: '90d' } } },
  { jwt: { primary, sign: 'HS256', development: [{ env: 'OTHER' }] } },
])('%j is a configuration', (keyrings) => {
  validateConfig({ keyrings, fields: {} })
})

test.each([
  [{ jwt: { root, sign: 'none' } }, 'keyrings.jwt.sign: expected one of "HS256"'],
  [{ jwt: { root, sign: 'ES512' } }, 'keyrings.jwt.sign: expected one of "HS256"'],
  [{ jwt: { primary, sign: 'ES256' } }, 'keyrings.jwt.sign: expected one of "HS256", "HS384", "HS512"'],
  [{ jwt: { root, tokens: { lifetime: '1h' } } }, 'keyrings.jwt.tokens: it belongs to keys that sign'],
  [{ jwt: { primary, tokens: {} } }, 'keyrings.jwt.tokens: it belongs to keys that sign'],
  [{ jwt: { root, sign: 'ES256', tokens: { lifetime: 3600 } } }, 'keyrings.jwt.tokens.lifetime: expected a period'],
  [{ jwt: { root, sign: 'ES256', tokens: { grace: '1h' } } }, 'there is no property "grace" here'],
  [{ jwt: { root, sign: 'ES256', messages: 7 } }, 'keyrings.jwt.messages: a key that signs bears any number of tokens'],
  [{ jwt: { root, sign: 'ES256', automatic: true } }, 'keyrings.jwt.automatic: a key that signs is rotated by somebody'],
  [{ jwt: { primary, sign: 'HS384', development: [primary] } }, 'keyrings.jwt.development: a development key has 32 bytes'],
  [{ jwt: { root, sign: 'ES256', tokens: { jwksCache: '2d' } } }, 'take up the 24 hours of the grace period'],
  [
    { jwt: { root, sign: 'ES256', tokens: { offline: '9s' } } },
    'keyrings.jwt.tokens.offline: it must be at least twice the refresh interval',
  ],
])('%j is refused: %s', (keyrings, sentence) => {
  expect(() => validateConfig({ keyrings, fields: {} })).toThrow(sentence)
})

test('a field neither writes nor reads with a keyring that signs.', () => {
  const keyrings = { app: { root }, jwt: { root, sign: 'ES256' } }
  validateConfig({ keyrings, fields: { x: field } })
  expect(() => validateConfig({ keyrings, fields: { x: { ...field, keyring: 'jwt' } } })).toThrow(
    'fields.x.keyring: keyring "jwt" signs tokens',
  )
  const reads = ['plain', { codec: 'hex-colon', keyring: 'jwt' }]
  expect(() => validateConfig({ keyrings, fields: { x: { ...field, reads } } })).toThrow(
    'fields.x.reads[1].keyring: keyring "jwt" signs tokens',
  )
})
