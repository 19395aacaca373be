import { randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import plain from '../codecs/plain.ts'
import { Keyring } from '../keyring/keyring.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import type { FieldDefinition } from './definition.ts'
import type { FieldEvent } from './event.ts'
import { Field } from './field.ts'

const version = (id: string, number: number, state: Parameters<typeof staticVersion>[2]) =>
  staticVersion(id, number, state, randomBytes(32))
const [active, retiring, retired, pending] = [
  version('bbbqeaye', 2, 'active'),
  version('aaaqeaye', 1, 'retiring'),
  version('cccqeaye', 3, 'retired'),
  version('dddqeaye', 4, 'pending'),
]
const versions = [active, retiring, retired, pending]
const app = { ...staticKeyring('app', versions), snapshot: new Keyring('app', 7, versions) }
const fromEnvironment = staticKeyring('legacy', [version('legacy-1', 1, 'active')])
const location = { schema: null, table: 'users', column: 'token' }

function listen(changes: Partial<FieldDefinition> = {}) {
  const events: FieldEvent[] = []
  const field = new Field({
    name: 'users.token',
    location,
    keyring: app,
    writes: kt1(),
    reads: [
      { codec: hexColon(), keyring: fromEnvironment },
      { codec: plain({ looksLike: /marked-.+/ }), keyring: null },
    ],
    bind: [],
    empty: 'keep',
    onEvent: (event) => void events.push(event),
    ...changes,
  })
  return { field, events, seal: (under = active) => field.seal(Buffer.from('marked-secret'), [], under) }
}

test('each read that needed an older key gives one event, in every form of reading', async () => {
  const { field, events, seal } = listen()
  const stored = seal(retiring)
  await field.decrypt(stored)
  await field.decryptBytes(stored)
  field.decryptSync(stored)
  field.decryptBytesSync(stored)
  const expected = { event: 'encryption-rewrap-needed', field: 'users.token', keyring: 'app', keyId: 'aaaqeaye', codec: 'kt1' }
  expect(events).toEqual([expected, expected, expected, expected])
})

test('a read under a retired key gives the other event, and not both', async () => {
  const { field, events, seal } = listen()
  await field.decrypt(seal(retired))
  expect(events).toEqual([{ event: 'retired-key-used', field: 'users.token', keyring: 'app', keyId: 'cccqeaye', codec: 'kt1' }])
})

test('an older format and plain text give one, without the id of a key from the environment', async () => {
  const { field, events } = listen()
  const older = listen({ keyring: fromEnvironment, writes: hexColon(), reads: [] }).field
  await field.decrypt(older.encryptSync('x'))
  await field.decrypt('marked-plain')
  expect(events.map(({ keyring, keyId, codec }) => [keyring, keyId, codec])).toEqual([
    ['legacy', null, 'hex-colon'],
    [null, null, 'plain'],
  ])
  expect(JSON.stringify(events)).not.toMatch(/marked|legacy-1/)
})

test('an older name gives one, and a key id beside the value does', async () => {
  const before = listen({ name: 'old' })
  const renamed = listen({ was: ['old'] })
  await renamed.field.decrypt(before.seal())
  expect(renamed.events).toMatchObject([{ event: 'encryption-rewrap-needed', keyId: 'bbbqeaye' }])
  const keyed = listen({ writes: hexColon(), keyId: 'key_id' })
  await keyed.field.decryptKeyed({ value: keyed.seal(retiring), keyId: 'aaaqeaye' })
  await keyed.field.decryptKeyed({ value: keyed.seal(), keyId: 'bbbqeaye' })
  expect(keyed.events).toMatchObject([{ keyId: 'aaaqeaye', codec: 'hex-colon' }])
})

test('what is current, newer, empty or does not open gives none, and the engine hears nothing', async () => {
  const { field, events, seal } = listen()
  await field.decrypt(seal())
  await field.decrypt(seal(pending))
  await field.decrypt('')
  await expect(field.decrypt('junk')).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  field.open(seal(retiring), [])
  field.openMany([seal(retiring)], [[]])
  expect(events).toEqual([])
})

test('a listener that throws, at once or later, does not fail the read', async () => {
  for (const onEvent of [
    () => {
      throw new Error('of the listener')
    },
    async () => {
      throw new Error('of the listener')
    },
  ]) {
    const { field, seal } = listen({ onEvent })
    expect(await field.decrypt(seal(retiring))).toBe('marked-secret')
    expect(field.decryptSync(seal(retired))).toBe('marked-secret')
  }
  // A rejection that nobody handles would end the process here.
  await turn()
})
