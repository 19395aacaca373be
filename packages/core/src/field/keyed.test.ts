import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { count } from '../../../../test/harness/counts.ts'
import { clock, useKeyrings } from '../../../../test/harness/keyrings.ts'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import plain from '../codecs/plain.ts'
import type { KeyringStore } from '../keyring/keyring-store.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import type { FieldDefinition } from './definition.ts'
import { Field } from './field.ts'

const newest = staticVersion('bbbqeaye', 2, 'active', randomBytes(32))
const retiring = staticVersion('aaaqeaye', 1, 'retiring', randomBytes(32))
const destroyed = staticVersion('cccqeaye', 3, 'destroyed', randomBytes(32))
const app = staticKeyring('app', [retiring, newest, destroyed])
const legacy = staticKeyring('legacy', [staticVersion('dddqeaye', 1, 'active', randomBytes(32))])
const location = { schema: null, table: 'secrets', column: 'value' }
const define = (changes: Partial<FieldDefinition> = {}) =>
  new Field({
    name: 'secret',
    location,
    keyring: app,
    writes: hexColon(),
    reads: [],
    bind: [],
    empty: 'refuse',
    keyId: 'key_id',
    ...changes,
  })
const old = { codec: hexColon(), keyring: legacy }
const seal = (text: string, version = newest) => define().seal(Buffer.from(text), [], version)

describe('a key id beside the value', () => {
  test('a value opens under the key that stands beside it, and is current under the active one only', async () => {
    const field = define()
    const pair = await field.encryptKeyed('secret')
    expect(pair.keyId).toBe('bbbqeaye')
    expect(await field.decryptKeyed(pair)).toBe('secret')
    expect(field.open(pair.value, [], pair.keyId)).toMatchObject({ current: true, version: newest })
    expect(field.open(seal('x', retiring), [], 'aaaqeaye')).toMatchObject({ current: false, version: retiring, keyring: app })
    expect(field.sealKeyed(Buffer.from('x'), [])).toMatchObject({ keyId: 'bbbqeaye' })
    expect([field.keyIdOf(pair.value, pair.keyId), field.keyIdOf(pair.value, null), field.currentPrefix()]).toEqual([
      'bbbqeaye',
      null,
      null,
    ])
  })

  test('without a key id a value is in an older form, which is read and never current', async () => {
    const before = define({ keyId: null, keyring: legacy })
    const value = before.encryptSync('older')
    const field = define({ reads: [old, { codec: plain({ looksLike: /sk-.+/ }), keyring: null }] })
    expect(await field.decryptKeyed({ value, keyId: null })).toBe('older')
    expect(field.open(value, [], null)).toMatchObject({ current: false, keyring: legacy })
    expect(field.open('sk-1', [], null)).toMatchObject({ current: false, version: null, keyring: null })
    await expect(define().decryptKeyed({ value, keyId: null })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  })

  test('many open at once as each does by itself', () => {
    const field = define({ reads: [old] })
    const values = [seal('a'), seal('b', retiring), define({ keyId: null, keyring: legacy }).encryptSync('c'), seal('d'), seal('e'), 'junk']
    const keyIds = ['bbbqeaye', 'aaaqeaye', null, 'aaaqeaye', 'cccqeaye', 'bbbqeaye']
    const texts = (opened: ReturnType<Field['openMany']>) =>
      opened.map((one) => one && [Buffer.from(one.plaintext).toString(), one.current])
    const noBound = values.map(() => [])
    expect(texts(field.openMany(values, noBound, keyIds))).toEqual([['a', true], ['b', false], ['c', false], null, null, null])
    expect(texts(field.openMany(values, noBound))).toEqual(values.map(() => null))
  })

  test('the methods of one column refuse a field of two, and the other way round', async () => {
    const [field, single] = [define(), define({ keyId: null })]
    const uses = (name: string) => new RegExp(`field "secret" .*: use ${name}`)
    await expect(field.encrypt('x')).rejects.toThrow(uses('encryptKeyed'))
    expect(() => field.encryptSync('x')).toThrow(uses('encryptKeyed'))
    await expect(field.decrypt(seal('x'))).rejects.toThrow(uses('encryptKeyed and decryptKeyed'))
    expect(() => field.decryptSync(seal('x'))).toThrow(uses('encryptKeyed and decryptKeyed'))
    await expect(single.encryptKeyed('x')).rejects.toThrow(uses('encrypt and decrypt'))
    await expect(single.decryptKeyed({ value: seal('x'), keyId: null })).rejects.toThrow(uses('encrypt and decrypt'))
    expect(() => field.open(seal('x'), [])).toThrow('a value is opened with the key id of its row, or null')
  })

  test('what cannot have a key id beside it is refused', () => {
    expect(() => define({ writes: kt1() })).toThrow('values of "kt1" name their key themselves')
    expect(() => define({ keyId: 'value' })).toThrow('the column of its key ids is the column of its values')
    expect(() => define({ location: { ...location, path: ['a'] } })).toThrow('belongs to a whole column')
    expect(() => define({ bind: [{ column: 'key_id', type: 'text' }] })).toThrow('it cannot be bound to its key id')
  })
})

describe('attacks on the key id', () => {
  test('Attack: key ids swapped between rows. Neither value opens.', async () => {
    const [a, b] = [
      { value: seal('a'), keyId: 'bbbqeaye' },
      { value: seal('b', retiring), keyId: 'aaaqeaye' },
    ]
    for (const field of [define(), define({ reads: [old, { codec: hexColon(), keyring: app }] })]) {
      await expect(field.decryptKeyed({ value: a.value, keyId: b.keyId })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
      await expect(field.decryptKeyed({ value: b.value, keyId: a.keyId })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    }
  })

  test('Attack: a key id set to NULL. The value does not pass for an older one, nor for plain text.', async () => {
    const field = define({ reads: [old, { codec: plain({ looksLike: /[\s\S]*/ }), keyring: null }] })
    const bare = define({ reads: [{ codec: plain({ looksLike: /[\s\S]*/ }), keyring: null }] })
    for (const each of [field, bare])
      await expect(each.decryptKeyed({ value: seal('a'), keyId: null })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  })

  test('Attack: an older value given a key id. It does not open under a key that did not seal it.', async () => {
    const value = define({ keyId: null, keyring: legacy }).encryptSync('older')
    await expect(define({ reads: [old] }).decryptKeyed({ value, keyId: 'bbbqeaye' })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  })

  test('Attack: a destroyed version named. The refusal names it, and nothing else is tried.', async () => {
    const field = define({ reads: [{ codec: hexColon(), keyring: app }] })
    await expect(field.decryptKeyed({ value: seal('a'), keyId: 'cccqeaye' })).rejects.toThrow('keyring "app" has no key version cccqeaye')
    const careless = define({ writes: { ...hexColon(), decrypt: () => Buffer.from('planted') } })
    await expect(careless.decryptKeyed({ value: seal('a'), keyId: 'cccqeaye' })).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
  })

  test('Attack: anything planted as a key id. It is not repeated in a message, and only what could be an id is asked for.', async () => {
    const asked: (string | undefined)[] = []
    const keyring: LiveKeyring = {
      ...app,
      reload: async (id) => {
        asked.push(id)
        return app.snapshot
      },
    }
    const field = define({ keyring })
    for (const keyId of ['marked-secret', '', 'BBBQEAYE', 'bbbqeaye ', "'; --"]) {
      const refusal = await field.decryptKeyed({ value: seal('a'), keyId }).catch((error: Error) => error)
      expect(refusal).toMatchObject({ code: 'ERR_KEY_NOT_FOUND', message: expect.stringContaining('of the id in its key id column') })
    }
    await field.reload(seal('a'), 'marked-secret')
    expect(asked).toEqual([])
    await expect(field.decryptKeyed({ value: seal('a'), keyId: 'zzzqeaye' })).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
    expect(asked).toEqual(['zzzqeaye'])
    expect(() => field.open(seal('a'), [], 'zzzqeaye')).toThrow('key version zzzqeaye is not loaded in this process')
  })
})

describe('while versions are activated', () => {
  const world = useKeyrings()
  let store: KeyringStore
  beforeAll(() => {
    ;({ store } = world)
  })

  test('Invariant: a value and its key id are always of the same version.', async () => {
    const name = world.newName()
    const [mine, theirs] = [await world.open(name), await world.open(name)]
    const [writer, reader] = [mine, theirs].map((keyring) => define({ keyring })) as [Field, Field]
    const rounds = count(4, 20)
    const pairs: Awaited<ReturnType<Field['encryptKeyed']>>[] = []
    for (let round = 0; round < rounds; round++) {
      const writing = Promise.all(Array.from({ length: 100 }, () => writer.encryptKeyed(`value of round ${round}`)))
      const id = await theirs.addPendingVersion()
      await theirs.activateVersion(id)
      await mine.reload()
      pairs.push(...(await writing), ...(await Promise.all(Array.from({ length: 20 }, () => writer.encryptKeyed('late')))))
    }
    expect(new Set(pairs.map(({ keyId }) => keyId)).size).toBeGreaterThan(rounds - 1)
    for (const pair of pairs) expect(await reader.decryptKeyed(pair)).toMatch(/^value of round|^late$/)
    expect((await store.load(name))?.versions).toHaveLength(rounds + 1)
  })

  test('a key id that another process has just activated is loaded, once', async () => {
    const name = world.newName()
    const { time, monotonicMs } = clock()
    const [mine, theirs] = [await world.open(name, { monotonicMs }), await world.open(name)]
    const id = await theirs.addPendingVersion()
    await theirs.activateVersion(id)
    const pair = await define({ keyring: theirs }).encryptKeyed('new')
    expect(pair.keyId).toBe(id)
    time.now += 1_001
    expect(await define({ keyring: mine }).decryptKeyed(pair)).toBe('new')
  })
})
