import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import hexColon from '../codecs/hex-colon.ts'
import { type EnvironmentKeyringConfig, env } from '../config/config.ts'
import { Field } from '../field/field.ts'
import { parseReference } from '../field/reference.ts'
import { candidates, type LiveKeyring } from '../keyring/live-keyring.ts'
import { knownKeys } from '../rotation/known-keys.ts'
import { environmentKeyring } from './environment.ts'

const [a, b, c] = ['a1', 'b2', 'c3'].map((byte) => byte.repeat(32)) as [string, string, string]
const zeros = '0'.repeat(64)
const config: EnvironmentKeyringConfig = { primary: env('KEY'), previous: [env('KEY_PREVIOUS')] }

function open(env: Record<string, string>, more: Partial<EnvironmentKeyringConfig> = {}, production = true) {
  const warnings: string[] = []
  const keyring = environmentKeyring('app', { ...config, ...more }, { env, production, warn: (sentence) => warnings.push(sentence) })
  const keys = candidates(keyring.snapshot).map(({ material }) => material!.exportPlaintextKey().toString('hex'))
  return { keyring, keys, warnings, labels: candidates(keyring.snapshot).map(({ id }) => keyring.labels.get(id)) }
}
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

describe('primary and previous', () => {
  test('the primary encrypts, the previous ones decrypt, in their order', () => {
    const { keyring, keys, labels, warnings } = open({ KEY: a, KEY_PREVIOUS: `${b},${c}` })
    expect(keys).toEqual([a, b, c])
    expect(keyring.spend(1).id).toBe(keyring.snapshot.active.id)
    expect(keyring.snapshot.versions.map(({ state }) => state)).toEqual(['retiring', 'retiring', 'active'])
    expect(labels).toEqual(['KEY', 'KEY_PREVIOUS', 'KEY_PREVIOUS (2)'])
    expect(warnings).toEqual([])
  })

  test('the id of a key is the same whatever its variable and its order', () => {
    const first = open({ KEY: a, KEY_PREVIOUS: b }).keyring
    const second = open({ KEY: b, KEY_PREVIOUS: a }).keyring
    expect(first.snapshot.active.id).toMatch(/^[a-z2-7]{8}$/)
    expect(second.snapshot.get(first.snapshot.active.id)?.state).toBe('retiring')
    expect(first.snapshot.get(second.snapshot.active.id)?.state).toBe('retiring')
  })

  test('Invariant: the id of a key never changes.', () => {
    expect(open({ KEY: a }).keyring.snapshot.active.id).toBe('yniclst3')
  })

  test('a key that comes twice is one version', () => {
    expect(open({ KEY: a, KEY_PREVIOUS: `${b},${a},${b}` }).keys).toEqual([a, b])
  })

  test('an empty variable is unset', () => {
    expect(open({ KEY: a, KEY_PREVIOUS: '' }).keys).toEqual([a])
    expect(() => open({ KEY: '' })).toThrow('KEY is not set. In production the process does not start without it')
  })

  test('a passphrase is one key however many commas it has, and several stand in a JSON array', () => {
    const old = 'commas, are, part, of, it'
    expect(open({ KEY: 'x'.repeat(16), KEY_PREVIOUS: old }, { keyRule: 'passphrase' }).keys).toEqual([sha256('x'.repeat(16)), sha256(old)])
    const list = open({ KEY: 'x'.repeat(16), KEY_PREVIOUS: JSON.stringify([old, 'y'.repeat(20)]) }, { keyRule: 'passphrase' })
    expect(list.keys).toEqual([sha256('x'.repeat(16)), sha256(old), sha256('y'.repeat(20))])
    const bracket = '[not a list at all'
    expect(open({ KEY: bracket }, { keyRule: 'passphrase' }).keys).toEqual([sha256(bracket)])
  })

  test('a key can stand in a file, whose last line break is not part of it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'keyturn-env-'))
    writeFileSync(join(folder, 'key'), 'sixteen letters!\n')
    expect(open({}, { primary: { file: join(folder, 'key') }, keyRule: 'passphrase' }).keys).toEqual([sha256('sixteen letters!')])
    expect(() => open({}, { primary: { file: join(folder, 'none') } })).toThrow('is not set')
    expect(() => open({}, { primary: { file: folder } })).toThrow('cannot be read')
    rmSync(folder, { recursive: true })
  })
})

describe('what is set and is no key stops the start, also outside production', () => {
  test.each([
    ['the primary', { KEY: 'nonsense' }],
    ['a previous one', { KEY: a, KEY_PREVIOUS: 'nonsense' }],
    ['the second of a list', { KEY: a, KEY_PREVIOUS: `${b},nonsense` }],
    ['the fallback', { KEY: a, FALLBACK: 'nonsense' }],
  ])('%s', (_, variables) => {
    for (const production of [true, false]) {
      expect(() => open(variables, { fallback: env('FALLBACK'), development: [env('S')] }, production)).toThrow(
        /is not a key by the rule "hex"/,
      )
      expect(() => open(variables, { fallback: env('FALLBACK') }, production)).toThrow(/^(?!.*nonsense)/)
    }
  })
})

describe('zeros', () => {
  test('stop the start in production as the primary, in every rule', () => {
    expect(() => open({ KEY: zeros })).toThrow('KEY is all zeros, a key that everybody knows')
    expect(() => open({ KEY: Buffer.alloc(32).toString('base64') }, { keyRule: 'base64' })).toThrow('all zeros')
    expect(() => open({ KEY: '0'.repeat(32) }, { keyRule: 'utf8' })).toThrow('all zeros')
    expect(() => open({ KEY: zeros }, { keyRule: 'passphrase' })).toThrow('all zeros')
    expect(() => open({ F: zeros }, { fallback: env('F') })).toThrow('F is all zeros')
  })
  test('warn outside production', () => {
    expect(open({ KEY: zeros }, {}, false).warnings).toEqual([expect.stringContaining('KEY is all zeros')])
  })
  test('are legal as a previous key, for values of older deployments', () => {
    expect(open({ KEY: a, KEY_PREVIOUS: zeros })).toMatchObject({ keys: [a, zeros], warnings: [] })
  })
})

describe('the fallback', () => {
  const fallback = { fallback: env('JWT_SECRET') }
  test('encrypts while the primary is not set, with a warning', () => {
    const { keys, labels, warnings } = open({ JWT_SECRET: a }, fallback)
    expect(keys).toEqual([a])
    expect(labels).toEqual(['JWT_SECRET'])
    expect(warnings).toEqual(['KEY is not set: keyring "app" encrypts with JWT_SECRET instead. Set KEY to a key of its own.'])
  })
  test('decrypts, last of all, once the primary is set and differs', () => {
    expect(open({ KEY: a, KEY_PREVIOUS: b, JWT_SECRET: c }, fallback)).toMatchObject({ keys: [a, b, c], warnings: [] })
  })
  test('that is the same key is no second key, and the warning stays', () => {
    const { keys, warnings } = open({ KEY: a, JWT_SECRET: a }, fallback)
    expect(keys).toEqual([a])
    expect(warnings).toEqual(['KEY and JWT_SECRET are the same key: one leak gives away both. Set KEY to a key of its own.'])
  })
  test('that is not set either leaves production without a key', () => {
    expect(() => open({}, fallback)).toThrow('KEY is not set. In production')
  })
})

describe('development', () => {
  const development = { development: [env('SESSION_SECRET'), env('JWT_SECRET')] }
  const secrets = { SESSION_SECRET: 'k9'.repeat(12), JWT_SECRET: 'q7'.repeat(12) }

  test('derives a fixed key from other secrets, warns, and says which', () => {
    const { keys, keyring, warnings } = open(secrets, development, false)
    expect(keys).toEqual(open(secrets, development, false).keys)
    expect(keyring.developmentFrom).toEqual(['SESSION_SECRET', 'JWT_SECRET'])
    expect(warnings).toEqual([expect.stringContaining('a development key derived from SESSION_SECRET and JWT_SECRET')])
    expect(open({ ...secrets, JWT_SECRET: 'other'.repeat(5) }, development, false).keys).not.toEqual(keys)
    expect(open({ SESSION_SECRET: secrets.JWT_SECRET, JWT_SECRET: secrets.SESSION_SECRET }, development, false).keys).not.toEqual(keys)
  })
  test('warns in stronger words when all of them are unset or defaults', () => {
    for (const variables of [{}, { SESSION_SECRET: 'change-me-in-production' }, { JWT_SECRET: 'short' }]) {
      expect(open(variables, development, false).warnings).toEqual([expect.stringContaining('EVERYBODY KNOWS')])
    }
  })
  test('is not taken in production', () => {
    expect(() => open(secrets, development)).toThrow('KEY is not set. In production')
  })
  test('is not taken where a key is set', () => {
    expect(open({ ...secrets, KEY: a }, development, false).keyring.developmentFrom).toBeUndefined()
    expect(open({ KEY: a }, development, false).keys).toEqual([a])
  })
  test('keeps the previous keys', () => {
    expect(open({ ...secrets, KEY_PREVIOUS: b }, development, false).keys[1]).toBe(b)
  })
  test('without secrets to derive from there is no key', () => {
    expect(() => open({}, {}, false)).toThrow('the environment variable KEY is not set. It is needed for keyring "app"')
  })
})

describe("The rules of Floh's connector key", () => {
  const names = { primary: env('CONNECTOR_ENCRYPTION_KEY'), previous: [env('CONNECTOR_ENCRYPTION_KEY_PREVIOUS')] }
  const floh = { ...names, development: [env('SESSION_SECRET'), env('JWT_SECRET')] }
  const strong = { SESSION_SECRET: 'k9'.repeat(12), JWT_SECRET: 'q7'.repeat(12) }
  const start = (variables: Record<string, string>, production: boolean) => open(variables, floh, production)
  const fieldOf = (keyring: LiveKeyring) =>
    new Field({ name: 'f', location: parseReference('t.c'), keyring, writes: hexColon(), reads: [], bind: [], empty: 'refuse' })

  test('L1 it is 64 hexadecimal characters, whatever else stops the start', () => {
    expect(start({ CONNECTOR_ENCRYPTION_KEY: a }, true).keys).toEqual([a])
    for (const wrong of [a.slice(1), `${a}0`, 'x'.repeat(64), 'k'.repeat(32)])
      expect(() => start({ CONNECTOR_ENCRYPTION_KEY: wrong }, true)).toThrow(expect.objectContaining({ code: 'ERR_KEY_FORMAT' }))
  })
  test('L2 unset outside production: a development key from both secrets, with a warning, a stronger one where both are defaults', () => {
    const { keyring, warnings } = start(strong, false)
    expect(keyring.developmentFrom).toEqual(['SESSION_SECRET', 'JWT_SECRET'])
    expect(warnings).toEqual([expect.not.stringContaining('EVERYBODY')])
    const defaults = { SESSION_SECRET: 'dev-session-secret-change-me', JWT_SECRET: 'dev-jwt-secret-change-me' }
    expect(start(defaults, false).warnings).toEqual([expect.stringContaining('EVERYBODY KNOWS')])
    expect(start({ ...defaults, JWT_SECRET: strong.JWT_SECRET }, false).warnings).toEqual([expect.not.stringContaining('EVERYBODY')])
  })
  test('L2 set but invalid stops the start, in production and outside; missing stops it in production', () => {
    for (const production of [true, false])
      expect(() => start({ ...strong, CONNECTOR_ENCRYPTION_KEY: 'zz' }, production)).toThrow(
        expect.objectContaining({ code: 'ERR_KEY_FORMAT' }),
      )
    expect(() => start(strong, true)).toThrow(expect.objectContaining({ code: 'ERR_KEY_MISSING' }))
  })
  test('L2 a value that no longer opens under a development key says which secrets it comes from, and that one changed', async () => {
    const stored = await fieldOf(start(strong, false).keyring).encrypt('x')
    const changed = fieldOf(start({ ...strong, JWT_SECRET: 'z8'.repeat(12) }, false).keyring)
    const refusal = { code: 'ERR_DEVELOPMENT_KEY', message: expect.stringMatching(/SESSION_SECRET, JWT_SECRET. Did one of them change/) }
    await expect(changed.decrypt(stored)).rejects.toMatchObject(refusal)
    expect(await fieldOf(start(strong, false).keyring).decrypt(stored)).toBe('x')
  })
  test('L3 reads fall back to the previous key, writes do not', async () => {
    const stored = await fieldOf(start({ CONNECTOR_ENCRYPTION_KEY: a }, true).keyring).encrypt('x')
    const next = fieldOf(start({ CONNECTOR_ENCRYPTION_KEY: b, CONNECTOR_ENCRYPTION_KEY_PREVIOUS: a }, true).keyring)
    expect(await next.decrypt(stored)).toBe('x')
    expect(next.open(stored, []).current).toBe(false)
    expect(next.open(await next.encrypt('y'), []).current).toBe(true)
    await expect(fieldOf(start({ CONNECTOR_ENCRYPTION_KEY: b }, true).keyring).decrypt(stored)).rejects.toMatchObject({
      code: 'ERR_DECRYPT',
    })
  })
  test('L5 64 zeros as the previous key are legal and a finding of their own; as the current key production does not start', () => {
    const { keyring, labels, warnings } = start({ CONNECTOR_ENCRYPTION_KEY: a, CONNECTOR_ENCRYPTION_KEY_PREVIOUS: zeros }, true)
    expect([labels, warnings]).toEqual([['CONNECTOR_ENCRYPTION_KEY', 'CONNECTOR_ENCRYPTION_KEY_PREVIOUS'], []])
    expect(knownKeys([fieldOf(keyring)])).toEqual([
      'CONNECTOR_ENCRYPTION_KEY_PREVIOUS is all zeros, a key that everybody knows: rotate the values under it, then take it away',
    ])
    expect(knownKeys([fieldOf(start({ CONNECTOR_ENCRYPTION_KEY: a, CONNECTOR_ENCRYPTION_KEY_PREVIOUS: b }, true).keyring)])).toEqual([])
    expect(() => start({ CONNECTOR_ENCRYPTION_KEY: zeros, CONNECTOR_ENCRYPTION_KEY_PREVIOUS: b }, true)).toThrow(
      expect.objectContaining({ code: 'ERR_KEY_ZERO' }),
    )
  })
})

test('a process counts its messages and refuses beyond 2^32', async () => {
  const { keyring } = open({ KEY: a })
  keyring.spend(2 ** 32 - 1)
  await keyring.reserve(1)
  await expect(keyring.reserve(2)).rejects.toMatchObject({ code: 'ERR_KEY_EXHAUSTED' })
  keyring.spend(1)
  expect(() => keyring.spend(1)).toThrow(/has encrypted 2\^32 messages/)
})

test('Keys never appear in toJSON, inspect, warnings or errors.', () => {
  const secrets = { SESSION_SECRET: 'k9'.repeat(12), JWT_SECRET: 'q7'.repeat(12) }
  const opened = [
    open({ KEY: a, KEY_PREVIOUS: `${b},${c}` }),
    open(secrets, { development: [env('SESSION_SECRET'), env('JWT_SECRET')] }, false),
  ]
  const printed = opened
    .map(
      ({ keyring, warnings }) =>
        inspect(keyring, { depth: null, showHidden: true }) + JSON.stringify([keyring, [...keyring.labels], warnings]),
    )
    .join()
  for (const secret of [a, b, c, opened[1]!.keys[0]!, secrets.SESSION_SECRET, secrets.JWT_SECRET]) {
    for (const form of [secret, Buffer.from(secret, 'hex').toString('base64'), Buffer.from(secret, 'hex').toString('latin1')]) {
      if (form !== '') expect(printed).not.toContain(form)
    }
  }
})
