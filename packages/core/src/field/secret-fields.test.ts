import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { count } from '../../../../test/harness/counts.ts'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import { Field } from './field.ts'
import { MASK, mergeValue } from './masking.ts'
import { parseReference } from './reference.ts'
import { type SecretFields, secretFields, secretVariables } from './secret-fields.ts'
import type { JsonSchema } from './secret-schema.ts'

const [oldKey, newKey] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
const old = staticKeyring('old', [staticVersion('oldoldol', 1, 'active', oldKey)])
const field = new Field({
  name: 'connector.config',
  location: parseReference('connector_definition.connector_config:/**'),
  keyring: staticKeyring('app', [staticVersion('newnewne', 1, 'active', newKey)]),
  writes: kt1(),
  reads: [{ codec: hexColon(), keyring: old }],
  bind: [{ column: 'id', type: 'int' }],
  empty: 'refuse',
  only: 'encrypted',
})
const row = { id: 7 }
const refused = (code: string, message = '') => expect.objectContaining({ code, message: expect.stringContaining(message) })
const text = { type: 'string' } as const
const secret = { type: 'string', secret: true } as const
// biome-ignore lint/suspicious/noExplicitAny: documents of many shapes are looked into
type Document = any
const isSealed = expect.stringMatching(/^kt1\.newnewne\./)

const connector = secretFields({
  type: 'object',
  properties: {
    url: text,
    auth: { type: 'object', properties: { user: text, password: secret } },
    headers: { type: 'array', items: { type: 'object', properties: { name: text, value: secret } } },
    scopes: { type: 'array', items: text },
    pins: { type: 'array', items: secret },
    env: { type: 'object', additionalProperties: secret },
  },
})
const config = {
  url: 'https://a.example',
  auth: { user: 'u', password: 'pa55' },
  headers: [
    { name: 'X-A', value: 'one' },
    { name: 'X-B', value: 'two' },
  ],
  scopes: ['read'],
  pins: ['1234', '5678'],
  env: { TOKEN: 'tok' },
}
const sealed = (secrets: SecretFields, document: unknown) => secrets.encrypt(document, field, row) as Promise<Document>
const opened = (secrets: SecretFields, document: unknown) => secrets.decrypt(document, field, row) as Promise<Document>
const merged = (secrets: SecretFields, incoming: unknown, stored: unknown) =>
  secrets.merge(incoming, stored, field, row) as Promise<Document>

describe('Encrypting and opening', () => {
  test('every secret member is a value of the field, bound to its row, and all else stays as it is', async () => {
    const given = structuredClone(config)
    const stored = await sealed(connector, given)
    expect(given).toEqual(config)
    expect(stored).toEqual({
      ...config,
      auth: { user: 'u', password: isSealed },
      headers: [
        { name: 'X-A', value: isSealed },
        { name: 'X-B', value: isSealed },
      ],
      pins: [isSealed, isSealed],
      env: { TOKEN: isSealed },
    })
    expect(stored.scopes).toBe(given.scopes)
    expect(await field.decrypt(stored.auth.password, row)).toBe('pa55')
    expect(await opened(connector, stored)).toEqual(config)
    await expect(connector.decrypt(stored, field, { id: 8 })).rejects.toThrow(refused('ERR_DECRYPT_AT', 'the value at /auth/password'))
  })

  test('null, absent and empty members are not set: nothing is encrypted, and nothing masked', async () => {
    const bare = { url: 'x', auth: { password: '' }, headers: [{ name: 'a' }], pins: [null, ''], env: { A: null } }
    expect(await sealed(connector, bare)).toEqual(bare)
    expect(await opened(connector, bare)).toEqual(bare)
    expect(connector.mask(bare)).toEqual(bare)
    for (const nothing of [null, undefined, {}]) expect(await sealed(connector, nothing)).toEqual(nothing)
  })

  test('what is no text is encrypted as JSON, and comes back as what it was', async () => {
    const secrets = secretFields({
      type: 'object',
      properties: {
        port: { type: 'integer', secret: true },
        on: { type: ['boolean', 'null'], secret: true },
        any: { type: ['string', 'number'], secret: true },
        key: { type: 'object', secret: true, properties: { inner: secret } },
        list: { type: 'array', secret: true },
      },
    })
    const document = { port: 5432, on: false, any: '5', key: { inner: 'x', n: [1, null] }, list: [] }
    const stored = await sealed(secrets, document)
    expect(Object.values(stored)).toEqual(Array(5).fill(isSealed))
    expect(await field.decrypt(stored.any, row)).toBe('"5"')
    expect(await opened(secrets, stored)).toEqual(document)
    expect(secrets.mask(stored)).toEqual({ port: MASK, on: MASK, any: MASK, key: MASK, list: MASK })
    expect(await merged(secrets, { ...document, port: '', key: MASK }, stored)).toMatchObject({ port: null, key: stored.key })
    expect(
      await opened(secretFields({ secret: true, type: 'number' }), await sealed(secretFields({ secret: true, type: 'number' }), 42)),
    ).toBe(42)
  })

  test('a value that is encrypted already is refused, in every format that the field reads', async () => {
    const stored = await sealed(connector, config)
    await expect(sealed(connector, stored)).rejects.toThrow(
      refused('ERR_SECRET_FIELD', 'at /auth/password: the value there is encrypted already'),
    )
    const older = hexColon().encrypt(Buffer.from('x'), old.snapshot.active, { keyring: 'old', field: 'x', bound: [] })
    await expect(sealed(connector, { env: { A: older } })).rejects.toThrow(refused('ERR_SECRET_FIELD', 'encrypted already'))
    const looks = `${'0a'.repeat(12)}:${'0b'.repeat(16)}:00`
    expect(await opened(connector, await sealed(connector, { env: { A: looks } }))).toEqual({ env: { A: looks } })
  })

  test('older formats open, and a text in the clear does not pass for a value', async () => {
    const older = hexColon().encrypt(Buffer.from('old secret'), old.snapshot.active, { keyring: 'old', field: 'x', bound: [] })
    expect(await opened(connector, { pins: [older] })).toEqual({ pins: ['old secret'] })
    await expect(opened(connector, { pins: [older, 'in the clear'] })).rejects.toThrow(
      refused('ERR_DECRYPT_AT', 'the value at /pins/1 does not open'),
    )
    await expect(opened(connector, { pins: [5] })).rejects.toThrow(
      refused('ERR_SECRET_FIELD', 'at /pins/0: what stands there is not encrypted'),
    )
  })
})

describe('Masking and merging', () => {
  test('no secret is in what is shown, encrypted or not', async () => {
    for (const document of [config, await sealed(connector, config)]) {
      const shown = connector.mask(document)
      expect(shown).toMatchObject({ url: config.url, auth: { user: 'u', password: MASK }, pins: [MASK, MASK], env: { TOKEN: MASK } })
      expect(JSON.stringify(shown)).not.toMatch(/pa55|one|two|1234|kt1|"tok"/)
    }
  })

  test('a mask keeps what is stored as it stands, an empty text clears it, a new value replaces it', async () => {
    const stored = await sealed(connector, config)
    expect(await merged(connector, connector.mask(stored), stored)).toEqual(stored)
    const edited = {
      ...connector.mask(stored),
      url: 'https://b.example',
      auth: { user: 'v', password: '' },
      env: { TOKEN: MASK, MORE: 'new' },
    }
    const next = await merged(connector, edited, stored)
    expect(next).toMatchObject({ url: 'https://b.example', auth: { user: 'v', password: '' }, headers: stored.headers })
    expect(next.env.TOKEN).toBe(stored.env.TOKEN)
    expect(await field.decrypt(next.env.MORE, row)).toBe('new')
  })

  test('what is missing in the new document is removed, and a mask where nothing is stored is refused', async () => {
    const stored = await sealed(connector, { auth: { user: 'u', password: 'p' } })
    expect(await merged(connector, { url: 'x' }, stored)).toEqual({ url: 'x' })
    await expect(merged(connector, { env: { NEW_NAME: MASK } }, stored)).rejects.toThrow(
      refused('ERR_MASK', 'at /env/* stands for no value: nothing is stored'),
    )
    await expect(sealed(connector, { auth: { password: MASK } })).rejects.toThrow(refused('ERR_MASK', 'at /auth/password'))
    await expect(merged(connector, { auth: { password: MASK } }, { auth: { password: '' } })).rejects.toThrow(refused('ERR_MASK'))
    await expect(merged(connector, { auth: { password: MASK } }, { auth: 'nothing of the kind' })).rejects.toThrow(refused('ERR_MASK'))
  })

  test('elements are recognised by what names them, wherever they stand', async () => {
    const stored = await sealed(connector, config)
    const [a, b] = stored.headers
    const header = (name: string, value = MASK) => ({ name, value })
    expect((await merged(connector, { headers: [header('X-B'), header('X-A')] }, stored)).headers).toEqual([b, a])
    expect((await merged(connector, { headers: [header('X-B')] }, stored)).headers).toEqual([b])
    const next = await merged(connector, { headers: [header('X-C', 'three'), header('X-B')] }, stored)
    expect(next.headers).toEqual([{ name: 'X-C', value: isSealed }, b])
    await expect(merged(connector, { headers: [header('X-C')] }, stored)).rejects.toThrow(
      refused('ERR_MASK', 'at /headers/0/value stands for no value: nothing'),
    )
  })

  test('elements without a name are recognised by what is not secret in them, and none gets the secret of its neighbour', async () => {
    const hosts = secretFields({
      type: 'array',
      items: { type: 'object', properties: { host: text, port: { type: 'number' }, token: secret } },
    })
    const stored = await sealed(hosts, [
      { host: 'a', port: 1, token: 'of a' },
      { host: 'b', port: 2, token: 'of b' },
      { host: 'b', port: 2, token: 'of the other b' },
    ])
    const [a, b, other] = stored
    const shown = hosts.mask(stored)
    expect(await merged(hosts, [shown[1], { token: MASK, port: 1, host: 'a' }, shown[2]], stored)).toEqual([b, a, other])
    expect(await merged(hosts, [...shown, { host: 'c', token: 'x' }], stored)).toEqual([a, b, other, { host: 'c', token: isSealed }])
    expect(await merged(hosts, [shown[0]], stored)).toEqual([a])
    const unclear = refused('ERR_MASK', 'which of the stored elements it belongs to cannot be told')
    await expect(merged(hosts, [shown[0], shown[1]], stored)).rejects.toThrow(unclear)
    await expect(merged(hosts, [{ ...shown[0], host: 'attacker.example' }, shown[1], shown[2]], stored)).rejects.toThrow(unclear)
  })

  test('elements that are nothing but secrets keep their index, or their order where all of them come back', async () => {
    const stored = await sealed(connector, { pins: ['1', '2', '3'] })
    const [one, two, three] = stored.pins
    expect((await merged(connector, { pins: [MASK, 'new', MASK] }, stored)).pins).toEqual([one, isSealed, three])
    expect((await merged(connector, { pins: ['new', MASK, MASK, MASK] }, stored)).pins).toEqual([isSealed, one, two, three])
    await expect(merged(connector, { pins: [MASK, MASK] }, stored)).rejects.toThrow(refused('ERR_MASK', 'at /pins/0'))
    expect((await merged(connector, { pins: [] }, stored)).pins).toEqual([])
  })

  test('a single value is merged in the same way', async () => {
    const stored = await field.encrypt('a', row)
    expect(await mergeValue(MASK, stored, field, row)).toBe(stored)
    expect(await mergeValue('', stored, field, row)).toBeNull()
    expect(await field.decrypt((await mergeValue('b', stored, field, row)) as string, row)).toBe('b')
    for (const nothing of [null, undefined, ''])
      await expect(mergeValue(MASK, nothing, field, row)).rejects.toThrow(refused('ERR_MASK', 'field "connector.config"'))
    await expect(mergeValue(String(stored), null, field, row)).rejects.toThrow(refused('ERR_SECRET_FIELD', 'encrypted already'))
  })
})

test('variables are secret by their definitions, and their types say how', async () => {
  const secrets = secretVariables([
    { name: 'region', type: 'string', required: false },
    { name: 'token', type: 'string', required: true, secret: true },
    { name: 'pin', type: 'number', secret: true },
    { name: 'blob', type: 'json', secret: true },
    { name: 'odd', type: 'password', secret: true },
    { name: '__proto__', type: 'string', secret: true },
  ])
  const values = { region: 'eu', token: 't', pin: 4711, blob: 'text', odd: 'o', ['__proto__']: 'p', unknown: 'u' }
  const stored = await sealed(secrets, values)
  expect(
    Object.entries(stored)
      .filter(([, value]) => /^kt1\./.test(String(value)))
      .map(([name]) => name),
  ).toEqual(['token', 'pin', 'blob', 'odd', '__proto__'])
  expect(await opened(secrets, stored)).toEqual(values)
  expect(({} as Document).p).toBeUndefined()
  const wrong = (definitions: unknown) => () => secretVariables(definitions as [])
  expect(wrong({})).toThrow(refused('ERR_SECRET_SCHEMA', 'it is a list of variables'))
  expect(wrong([{ type: 'string' }])).toThrow(refused('ERR_SECRET_SCHEMA', 'at /0: a variable has a name'))
  expect(wrong([{ name: 'a' }, { name: 'a' }])).toThrow(refused('ERR_SECRET_SCHEMA', 'at /1/name'))
  expect(wrong([{ name: 'a', secret: 1 }])).toThrow(refused('ERR_SECRET_SCHEMA', 'at /0/secret'))
})

describe('A document that does not fit its schema', () => {
  test.each<[string, unknown, string]>([
    ['a text where an object holds secrets', { auth: 'Bearer sk-live-1' }, 'at /auth: it is no object'],
    ['an array where an object holds secrets', { auth: ['sk-live-1'] }, 'at /auth: it is no object'],
    ['an object where an array holds secrets', { headers: { value: 'sk-live-1' } }, 'at /headers: it is no array'],
    ['a number that is secret', { pins: [1234] }, 'at /pins/0: the value there is no string'],
    ['an object that is secret', { env: { A: { b: 'sk-live-1' } } }, 'at /env/*: the value there is no string'],
  ])('%s is refused with its path, never opened, and shown as a mask', async (_, document, why) => {
    await expect(sealed(connector, document)).rejects.toThrow(refused('ERR_SECRET_FIELD', why))
    await expect(sealed(connector, document)).rejects.toThrow(/^(?!.*sk-live)/)
    await expect(opened(connector, document)).rejects.toThrow(refused('ERR_SECRET_FIELD', why.split(':')[0]))
    const shown = connector.mask(document)
    expect(JSON.stringify(shown)).not.toMatch(/sk-live|1234/)
    expect(await merged(connector, shown, document)).toEqual(document)
  })

  test('a member that a closed schema does not have may be a secret under a wrong name', async () => {
    const closed = secretFields({ type: 'object', properties: { apiKey: secret }, additionalProperties: false })
    await expect(sealed(closed, { apiKye: 'sk-live-1' })).rejects.toThrow(refused('ERR_SECRET_FIELD', 'at /*: it has no such member'))
    expect(closed.mask({ apiKye: 'sk-live-1' })).toEqual({ apiKye: MASK })
  })

  test('nothing is encrypted before all of it was looked at', async () => {
    let spent = 0
    const spend = (messages: number) => {
      spent += messages
      return field.keyring.spend(messages)
    }
    const keyring = { ...field.keyring, spend }
    const counted = new Field({ ...field, name: 'x', keyring, bind: [], reads: [], keep: null })
    await expect(connector.encrypt({ ...config, env: { A: 5 } }, counted)).rejects.toThrow(refused('ERR_SECRET_FIELD'))
    expect(spent).toBe(0)
    await connector.encrypt(config, counted)
    expect(spent).toBe(6)
  })

  test('members called __proto__ are members', async () => {
    const document = JSON.parse('{"env":{"__proto__":"s","constructor":"c"},"__proto__":{"polluted":true}}')
    const stored = await sealed(connector, document)
    expect(Object.keys(stored.env)).toEqual(['__proto__', 'constructor'])
    expect(JSON.stringify(await opened(connector, stored))).toBe(JSON.stringify(document))
    expect(({} as Document).polluted).toBeUndefined()
    expect(await merged(connector, connector.mask(stored), stored)).toEqual(stored)
    await expect(merged(connector, { env: { toString: MASK } }, stored)).rejects.toThrow(refused('ERR_MASK'))
  })

  test('a document of any depth, and one that contains itself, is refused and no crash', async () => {
    const recursive = secretFields({ type: 'object', properties: { token: secret, next: { $ref: '#' } } })
    const nested = (depth: number) => {
      let document: Record<string, unknown> = { token: 'deep' }
      for (let level = 0; level < depth; level++) document = { next: document }
      return document
    }
    expect(await opened(recursive, await sealed(recursive, nested(190)))).toEqual(nested(190))
    await expect(sealed(recursive, nested(100_000))).rejects.toThrow(refused('ERR_SECRET_FIELD', 'deeper than 200 levels'))
    expect(JSON.stringify(recursive.mask(nested(100_000)))).not.toContain('deep')
    const circle: Record<string, unknown> = { token: 't' }
    circle.next = circle
    await expect(sealed(recursive, circle)).rejects.toThrow(refused('ERR_SECRET_FIELD'))
    const sealedWhole = secretFields({ type: 'object', secret: true })
    await expect(sealed(sealedWhole, circle)).rejects.toThrow(refused('ERR_SECRET_FIELD', 'cannot be written as JSON'))
    await expect(sealed(sealedWhole, nested(100_000))).rejects.toThrow(refused('ERR_SECRET_FIELD', 'cannot be written as JSON'))
    await expect(sealed(sealedWhole, { n: 1n })).rejects.toThrow(refused('ERR_SECRET_FIELD', 'cannot be written as JSON'))
  })

  test('a schema of any depth and a list of many elements are read', async () => {
    let schema: JsonSchema = secret
    for (let level = 0; level < 50_000; level++) schema = { type: 'object', properties: { next: schema } }
    expect(() => secretFields(schema)).not.toThrow()
    const many = { pins: Array.from({ length: 5_000 }, (_, index) => `pin ${index}`) }
    const stored = await sealed(connector, many)
    expect(await merged(connector, connector.mask(stored), stored)).toEqual(stored)
    expect(await opened(connector, stored)).toEqual(many)
  })
})

test('Invariant: whatever fits comes back; no secret is shown; what is shown and sent back changes nothing.', async () => {
  const leaf = fc.string({ minLength: 1, unit: 'grapheme' }).map((value) => `!${value}`)
  const document = fc.record(
    {
      url: leaf,
      auth: fc.record({ user: leaf, password: leaf }, { requiredKeys: [] }),
      headers: fc.array(fc.record({ name: leaf, value: leaf }, { requiredKeys: [] })),
      pins: fc.array(leaf),
      env: fc.dictionary(fc.string(), leaf),
      more: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  const isSecret = (at: string[]) =>
    at[0] === 'pins' || at[0] === 'env' || at.join() === 'auth,password' || (at[0] === 'headers' && at[2] === 'value')
  const masked = (value: unknown, at: string[] = []): unknown => {
    if (isSecret(at) && typeof value === 'string') return MASK
    if (Array.isArray(value)) return value.map((each, index) => masked(each, [...at, String(index)]))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, masked(each, [...at, name])]))
  }
  await fc.assert(
    fc.asyncProperty(document, async (given) => {
      const stored = await sealed(connector, given)
      expect(await opened(connector, stored)).toEqual(given)
      expect(connector.mask(stored)).toEqual(masked(given))
      expect(await merged(connector, connector.mask(stored), stored)).toEqual(stored)
    }),
    { numRuns: count(60, 5_000) },
  )
})
