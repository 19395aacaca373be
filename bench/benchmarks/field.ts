import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomFillSync } from 'node:crypto'
import kt1 from '../../packages/core/src/codecs/kt1.ts'
import { Field } from '../../packages/core/src/field/field.ts'
import { parseReference } from '../../packages/core/src/field/reference.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import type { Benchmark } from '../benchmark.ts'
import { median } from '../numbers.ts'

const plaintext = 'p'.repeat(100)
const dataKey = Buffer.alloc(32, 7)
const [kid, keyId] = [Buffer.from([0, 1, 2, 3, 4]), 'aaaqeaye']

/** One value at a time, in the form for column types, against the least code that makes and opens the same message. */
export const field: Benchmark = {
  name: 'field',
  about: 'encryptSync and decryptSync of 100 characters, against bare createCipheriv and createDecipheriv',
  rows: 50_000,
  async run({ rows, rounds: fewest, say }) {
    const rounds = 5 * fewest
    const bare = bareCipher()
    const keyring = staticKeyring('default', [staticVersion(keyId, 1, 'active', dataKey)])
    const ours = new Field({
      name: 'github.token',
      location: parseReference('t.c'),
      keyring,
      writes: kt1(),
      reads: [],
      bind: [],
      empty: 'refuse',
    })
    const [bytes, message, stored] = [Buffer.from(plaintext), bare.encrypt(Buffer.from(plaintext)), ours.encryptSync(plaintext)]
    // The same bytes: each opens what the other one made.
    const body = Buffer.from((stored as string).slice(13), 'base64url')
    if (bare.decrypt(body).toString() !== plaintext) throw new Error('the two do not make the same message')
    if (ours.decryptSync(`kt1.${keyId}.${message.toString('base64url')}`) !== plaintext)
      throw new Error('the two do not make the same message')
    const work = {
      bareEncrypt: () => bare.encrypt(bytes),
      encrypt: () => ours.encryptSync(plaintext),
      bareDecrypt: () => bare.decrypt(message),
      decrypt: () => ours.decryptSync(stored),
    }
    say(`${rounds} rounds of ${rows} calls each`)
    const took = interleaved(work, rows, rounds)
    return {
      ratios: [
        { name: 'encryptSync / bare', value: took.encrypt / took.bareEncrypt, limit: { atMost: 1.3 } },
        { name: 'decryptSync / bare', value: took.decrypt / took.bareDecrypt, limit: { atMost: 1.3 } },
      ],
      measured: Object.fromEntries(Object.entries(took).map(([name, us]) => [`${name}Us`, us])),
    }
  },
}

/** The median time of each in microseconds; all of them in every round, so that a slow moment of the machine falls on all. */
function interleaved<T extends Record<string, () => unknown>>(work: T, calls: number, rounds: number): { [name in keyof T]: number } {
  const names = Object.keys(work) as (keyof T)[]
  const took = new Map<keyof T, number[]>(names.map((name) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const call = work[name] as () => unknown
      globalThis.gc?.()
      const before = performance.now()
      for (let done = 0; done < calls; done++) call()
      // The first round compiles.
      if (round > 0) took.get(name)?.push(((performance.now() - before) * 1000) / calls)
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(took.get(name) ?? [])])) as { [name in keyof T]: number }
}

/** AES-256-GCM with everything prepared that can be: nonce ‖ ciphertext ‖ tag in one Buffer. */
function bareCipher() {
  const lengthPrefixed = (text: string) => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)])
  const info = Buffer.concat([Buffer.from('keyturn/kt1\0'), lengthPrefixed('default'), lengthPrefixed('github.token')])
  const key = createSecretKey(Buffer.from(hkdfSync('sha256', dataKey, '', info, 32)))
  const aad = Buffer.concat([Buffer.from([0x6b, 0x74, 0x01]), kid, Buffer.alloc(2)])
  const pool = Buffer.alloc(4096 * 12)
  let next = pool.length
  return {
    encrypt(bytes: Buffer): Buffer {
      if (next === pool.length) {
        randomFillSync(pool)
        next = 0
      }
      const nonce = pool.subarray(next, next + 12)
      next += 12
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      cipher.setAAD(aad)
      return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
    },
    decrypt(message: Buffer): Buffer {
      const decipher = createDecipheriv('aes-256-gcm', key, message.subarray(0, 12))
      decipher.setAAD(aad)
      decipher.setAuthTag(message.subarray(-16))
      return Buffer.concat([decipher.update(message.subarray(12, -16)), decipher.final()])
    },
  }
}
