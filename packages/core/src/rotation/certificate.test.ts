import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { canonicalJson } from '../audit/canonical.ts'
import { isKeyturnError } from '../errors.ts'
import { signingKey } from '../signing/signing-key.ts'
import { type Certificate, certificateHash, certificateText, checkCertificate, signCertificate } from './certificate.ts'

interface Vectors {
  readonly seed: string
  readonly publicKey: string
  readonly publicKeyPem: string
  readonly signer: string
  readonly prefix: string
  readonly valid: { name: string; claim: string; signature: string; text: string; sha256: string }[]
  readonly invalid: { why: string; text: string }[]
}
const vectors: Vectors = JSON.parse(readFileSync(new URL('../../../../spec/vectors/certificate.json', import.meta.url), 'utf8'))
const key = signingKey(vectors.seed, 'KEY')

/** The code of the error, or what was accepted. */
function outcome(text: string | Uint8Array, by = vectors.publicKey): string {
  try {
    return JSON.stringify(checkCertificate(text, by))
  } catch (error) {
    return isKeyturnError(error) ? error.code : String(error)
  }
}

describe('the vectors of spec/certificate.md', () => {
  test('the key is that of the vectors', () => {
    expect(key.publicKey).toMatchObject({ text: vectors.publicKey, pem: vectors.publicKeyPem, signer: vectors.signer })
    expect(Buffer.from('keyturn/certificate/1\0').toString('hex')).toBe(vectors.prefix)
  })

  test.each(vectors.valid)('a certificate of a $name is written and checked as the vectors say', ({ claim, signature, text, sha256 }) => {
    const certificate = signCertificate(JSON.parse(claim), key)
    expect(canonicalJson(certificate.claim)).toBe(claim)
    expect(certificate.signature).toBe(signature)
    expect(certificateText(certificate)).toBe(text)
    expect(certificateHash(text)).toBe(sha256)
    for (const by of [vectors.publicKey, vectors.publicKeyPem]) {
      expect(checkCertificate(text, by)).toEqual(certificate)
      expect(checkCertificate(Buffer.from(`${text}\n`), by)).toEqual(certificate)
    }
  })

  test.each(vectors.invalid)('$why is refused', ({ text }) => {
    expect(outcome(text)).toBe('ERR_CERTIFICATE')
  })
})

const [rotation] = vectors.valid as [Vectors['valid'][number]]

test('an edited certificate is refused: every byte, changed in every bit, removed, and doubled', () => {
  const small = Buffer.from(certificateText(signCertificate({ kind: 'rotation', rotated: 7, name: 'ä' }, key)))
  expect(outcome(small)).not.toBe('ERR_CERTIFICATE')
  for (let at = 0; at < small.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Buffer.from(small)
      flipped[at] = (flipped[at] as number) ^ (1 << bit)
      expect([at, bit, outcome(flipped)]).toEqual([at, bit, 'ERR_CERTIFICATE'])
    }
    expect([at, outcome(Buffer.concat([small.subarray(0, at), small.subarray(at + 1)]))]).toEqual([at, 'ERR_CERTIFICATE'])
    expect([at, outcome(Buffer.concat([small.subarray(0, at), small.subarray(Math.max(0, at - 1))]))]).toEqual([
      at,
      at === 0 ? outcome(small) : 'ERR_CERTIFICATE',
    ])
  }
})

/** Every place of a claim, with a value that differs from what stands there. */
function* edits(value: unknown, path: string[] = []): Generator<[string, (claim: never) => void]> {
  if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      yield* edits(member, [...path, name])
      yield [`${[...path, name].join('.')} removed`, (claim) => void Reflect.deleteProperty(at(claim, path), name)]
    }
    return
  }
  const other = typeof value === 'number' ? value + 1 : typeof value === 'boolean' ? !value : value === null ? 'x' : `${value}x`
  const name = path.at(-1) as string
  yield [`${path.join('.')} changed`, (claim) => void Reflect.set(at(claim, path.slice(0, -1)), name, other)]
}
const at = (claim: unknown, path: readonly string[]): object =>
  path.reduce((inner, name) => (inner as Record<string, unknown>)[name], claim) as object

test.each(vectors.valid)('an edited certificate of a $name is refused: every claim, changed or removed', ({ text }) => {
  let tried = 0
  for (const [what, edit] of edits(JSON.parse(text).claim)) {
    const certificate = structuredClone(JSON.parse(text)) as Certificate
    edit(certificate.claim as never)
    let edited: string
    try {
      edited = certificateText(certificate)
    } catch {
      // An element taken out of a list leaves a hole, which JSON does not have.
      continue
    }
    expect([what, outcome(edited)]).toEqual([what, 'ERR_CERTIFICATE'])
    tried++
  }
  expect(tried).toBeGreaterThan(40)
})

test('a certificate is refused under another public key', () => {
  expect(outcome(rotation.text, signingKey('77'.repeat(32), 'KEY').publicKey.pem)).toBe('ERR_CERTIFICATE')
})

test('a message about a certificate quotes nothing of it', () => {
  const marked = rotation.text.replace('jira.token', 'marked')
  expect(() => checkCertificate(marked, vectors.publicKey)).toThrow(/^(?!.*marked)/)
  expect(() => checkCertificate(`marked${marked}`, vectors.publicKey)).toThrow(/^(?!.*marked)/)
})
