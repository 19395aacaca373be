import { createHash, createSecretKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import type { KeyVersionFacts } from '../../packages/core/src/keyring/key-version.ts'
import { KeyMaterial, KeyVersion } from '../../packages/core/src/keyring/key-version.ts'
import { staticKeyring } from '../../packages/core/src/keyring/static-keyring.ts'
import type { Algorithm } from '../../packages/core/src/signing/algorithm.ts'
import { SigningKeyring } from '../../packages/core/src/signing/signing-keyring.ts'
import { tokenKey } from '../../packages/core/src/signing/token-key.ts'
import { TokenLedger } from '../../packages/core/src/signing/token-ledger.ts'
import type { Benchmark } from '../benchmark.ts'
import { median } from '../numbers.ts'

const kid = 'aaaqeaye'
const claims = { sub: 'ada', iss: 'https://issuer.example', aud: 'https://api.example', scope: 'read write', sid: '7f3c9a52' }

/** What is signed with: one key for both sides. */
const keys: Partial<Record<Algorithm, KeyObject>> = {
  HS256: createSecretKey(createHash('sha256').update('bench').digest()),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  EdDSA: generateKeyPairSync('ed25519').privateKey,
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}

/** Signing and verifying a token through a keyring, against jose with the same key at hand. */
export const signing: Benchmark = {
  name: 'signing',
  about: 'sign and verify of a token with eight claims, against jose with the same key',
  rows: 2_000,
  async run({ rows, rounds, say }) {
    const ratios = []
    const measured: Record<string, number> = {}
    for (const [algorithm, key] of Object.entries(keys) as [Algorithm, KeyObject][]) {
      say(`${algorithm}: ${rounds} rounds of ${rows} calls each`)
      const took = await compare(algorithm, key, { rows, rounds })
      ratios.push({ name: `${algorithm} sign / jose`, value: took.sign / took.joseSign, limit: { atMost: 1.3 } })
      ratios.push({ name: `${algorithm} verify / jose`, value: took.verify / took.joseVerify, limit: { atMost: 1.3 } })
      for (const [name, us] of Object.entries(took)) measured[`${algorithm}${name[0]?.toUpperCase()}${name.slice(1)}Us`] = us
    }
    return { ratios, measured }
  },
}

async function compare(algorithm: Algorithm, key: KeyObject, { rows, rounds }: { rows: number; rounds: number }) {
  const ring = keyringOf(algorithm, key)
  const [{ key: verifies } = { key }] = await ring.verificationKeys()
  const header = { alg: algorithm, typ: 'JWT', kid }
  const jose = {
    sign: () => new SignJWT({ ...claims }).setProtectedHeader(header).setIssuedAt().setExpirationTime('1h').sign(key),
    verify: (token: string) => jwtVerify(token, verifies, { algorithms: [algorithm], clockTolerance: 60 }),
  }
  const [ours, theirs] = [await ring.sign(claims), await jose.sign()]
  // Each opens what the other one made.
  await jose.verify(ours)
  await ring.verify(theirs)
  return await interleaved(
    { joseSign: jose.sign, sign: () => ring.sign(claims), joseVerify: () => jose.verify(theirs), verify: () => ring.verify(ours) },
    rows,
    rounds,
  )
}

function keyringOf(algorithm: Algorithm, key: KeyObject): SigningKeyring {
  const at = new Date(0)
  const facts: KeyVersionFacts = {
    id: kid,
    number: 1,
    state: 'active',
    compromised: false,
    createdAt: at,
    activatedAt: at,
    retiredAt: null,
    destroyedAt: null,
  }
  const found = tokenKey(algorithm, key)
  return new SigningKeyring({
    algorithm,
    tokens: { lifetime: '1h' },
    refreshMs: 5_000,
    live: staticKeyring('jwt', [new KeyVersion(facts, new KeyMaterial(Buffer.alloc(32, 7)))]),
    stored: null,
    keyOf: () => found,
    ledger: new TokenLedger('jwt', null, undefined),
    changes: null,
  })
}

/**
 * The median of the processor time of each, of all threads, in microseconds; all of them in every round, so that a slow moment of the machine
 * falls on all. Not the time on the clock: jose works in a thread of the pool, and a busy machine does not share itself out equally.
 */
async function interleaved<T extends Record<string, () => Promise<unknown>>>(
  work: T,
  calls: number,
  rounds: number,
): Promise<{ [name in keyof T]: number }> {
  const names = Object.keys(work) as (keyof T)[]
  const took = new Map<keyof T, number[]>(names.map((name) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const call = work[name] as () => Promise<unknown>
      globalThis.gc?.()
      const before = process.cpuUsage()
      for (let done = 0; done < calls; done++) await call()
      const { user, system } = process.cpuUsage(before)
      // The first round compiles.
      if (round > 0) took.get(name)?.push((user + system) / calls)
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(took.get(name) ?? [])])) as { [name in keyof T]: number }
}
