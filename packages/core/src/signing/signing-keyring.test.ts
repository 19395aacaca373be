import { inspect } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { clock, oldRoot, useKeyrings } from '../../../../test/harness/keyrings.ts'
import type { KeyringStore } from '../keyring/keyring-store.ts'
import type { OpenedKeyring } from '../keyring/opened-keyring.ts'
import { SigningKeyring } from './signing-keyring.ts'
import { storedTokenKey, tokenKeys } from './token-key.ts'
import { TokenLedger } from './token-ledger.ts'

const world = useKeyrings()
const opened: OpenedKeyring[] = []
afterEach(() => {
  for (const keyring of opened.splice(0)) keyring.close()
})

/** A signing keyring, its clock, and a store that can be cut off. */
async function signingKeyring(refreshMs = 5_000) {
  const { time, monotonicMs } = clock()
  const cut = { off: false, silent: false, loads: 0 }
  const store: KeyringStore = {
    ...world.store,
    load: (name) => {
      cut.loads++
      if (cut.silent) return new Promise(() => {})
      return cut.off ? Promise.reject(new Error('no route to host')) : world.store.load(name)
    },
  }
  const stored = await world.open(world.newName(), {
    store,
    wrappers: [oldRoot],
    kind: tokenKeys('EdDSA'),
    refreshMs: 1_000_000,
    monotonicMs,
  })
  const signing = new SigningKeyring({
    algorithm: 'EdDSA',
    tokens: { offline: '60s', lifetime: '1h' },
    refreshMs,
    live: stored,
    stored,
    keyOf: ({ material }) => storedTokenKey(material as never),
    ledger: new TokenLedger(stored.name, null, undefined),
    changes: null,
  })
  return { signing, stored, time, cut }
}

test('a process that cannot load the keyring signs for two refresh intervals, verifies for as long as is stated, and then nothing.', async () => {
  const { signing, time, cut } = await signingKeyring()
  const token = await signing.sign({ sub: 'ada' })
  cut.off = true
  time.now += 10_000
  await signing.sign({})
  time.now += 1
  await expect(signing.sign({})).rejects.toMatchObject({ code: 'ERR_SIGNING_STALE' })
  await expect(signing.signingKey()).rejects.toMatchObject({ code: 'ERR_SIGNING_STALE' })
  time.now += 60_000 - 10_000 - 1
  await signing.verify(token)
  expect((await signing.jwksResponse()).status).toBe(200)
  time.now += 1
  // Whether a token is good is not said any more: not of one that is none, either.
  for (const each of [token, 'rubbish']) await expect(signing.verify(each)).rejects.toMatchObject({ code: 'ERR_SIGNING_STALE' })
  for (const each of [signing.keyFor('aaaaaaaa'), signing.verificationKeys(), signing.jwks()])
    await expect(each).rejects.toMatchObject({ code: 'ERR_SIGNING_STALE' })
  expect(await signing.jwksResponse()).toEqual({ status: 503, headers: { 'cache-control': 'no-store', 'retry-after': '5' }, body: '' })
  // A store that is there again is asked at once.
  cut.off = false
  await signing.verify(token)
  await signing.sign({})
})

test('a key that this process does not know is loaded for the token that names it; one that nobody knows is looked for once.', async () => {
  const { signing, stored, time, cut } = await signingKeyring()
  const other = await world.open(stored.name, { kind: tokenKeys('EdDSA') })
  await other.activateVersion(await other.addPendingVersion())
  const elsewhere = new SigningKeyring({
    algorithm: 'EdDSA',
    tokens: { lifetime: '1h' },
    refreshMs: 5_000,
    live: other,
    stored: other,
    keyOf: ({ material }) => storedTokenKey(material as never),
    ledger: new TokenLedger(stored.name, null, undefined),
    changes: null,
  })
  time.now += 2_000
  await signing.verify(await elsewhere.sign({}))
  const loads = cut.loads
  time.now += 2_000
  for (let n = 0; n < 5; n++) {
    expect(await signing.keyFor('zzzzzzzz')).toBe(null)
    expect(await signing.keyFor('not a key id of ours')).toBe(null)
  }
  expect(cut.loads).toBe(loads + 1)
})

test('a store that does not answer at all keeps nobody waiting, and an unknown key says nothing of the token then.', async () => {
  const { signing, time, cut } = await signingKeyring(50)
  const token = await signing.sign({})
  cut.silent = true
  time.now += 2_000
  await expect(signing.keyFor('zzzzzzzz')).rejects.toMatchObject({ code: 'ERR_SIGNING_STALE' })
  await signing.verify(token)
  time.now += 60_001
  await expect(signing.verify(token)).rejects.toMatchObject({ code: 'ERR_SIGNING_STALE' })
})

test('it prints its name and its algorithm.', async () => {
  const { signing, stored } = await signingKeyring()
  expect(inspect(signing)).toBe(`SigningKeyring { name: '${stored.name}', algorithm: 'EdDSA' }`)
  expect(JSON.stringify(signing)).toBe(`{"keyring":"${stored.name}","algorithm":"EdDSA"}`)
})
