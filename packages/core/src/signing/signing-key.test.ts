import { createPrivateKey, createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { publicKey } from './public-key.ts'
import { signingKey } from './signing-key.ts'

// The first test of RFC 8032, 7.1.
const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'
const publicHex = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
const pem = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.from(seed, 'hex')]),
  format: 'der',
  type: 'pkcs8',
}).export({ format: 'pem', type: 'pkcs8' }) as string

test('a seed in each encoding and PKCS #8 are the same key, whose public half is that of RFC 8032', () => {
  const bytes = Buffer.from(seed, 'hex')
  for (const text of [seed, bytes.toString('base64'), bytes.toString('base64url'), pem, `\n${pem}`]) {
    const { publicKey } = signingKey(text, 'KEY')
    expect(Buffer.from(publicKey.text, 'base64url').toString('hex')).toBe(publicHex)
    expect(publicKey.signer).toBe('21fe31dfa154a261')
  }
})

test('a signature is checked by others with the public key and the bytes of its purpose', () => {
  const key = signingKey(seed, 'KEY')
  const signature = Buffer.from(key.sign('certificate', '{"ä":1}'), 'base64url')
  expect(verify(null, Buffer.from('keyturn/certificate/1\0{"ä":1}'), createPublicKey(key.publicKey.pem), signature)).toBe(true)
})

test('a signature for one purpose does not check for the other, nor for another text, nor under another key', () => {
  const key = signingKey(seed, 'KEY')
  const signature = key.sign('certificate', 'text')
  expect(key.publicKey.verifies('certificate', 'text', signature)).toBe(true)
  expect(key.publicKey.verifies('checkpoint', 'text', signature)).toBe(false)
  expect(key.publicKey.verifies('certificate', 'Text', signature)).toBe(false)
  expect(key.publicKey.verifies('certificate', '\ud800', key.sign('certificate', '\ufffd'))).toBe(false)
  expect(signingKey('22'.repeat(32), 'KEY').publicKey.verifies('certificate', 'text', signature)).toBe(false)
  for (const other of ['', 'A', `${signature}=`, `${signature}A`, signature.slice(1), ` ${signature}`])
    expect(key.publicKey.verifies('certificate', 'text', other)).toBe(false)
})

test('a public key is read from PEM and from base64url, and gives the same of both', () => {
  const { publicKey: given } = signingKey(seed, 'KEY')
  for (const text of [given.pem, given.text, ` ${given.text}\n`, `\n${given.pem}\n`]) {
    expect(publicKey(text)).toMatchObject({ signer: given.signer, text: given.text, pem: given.pem })
  }
})

const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
test.each([
  ['a private key', pem],
  ['a seed', seed],
  ['another kind of key', rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string],
  ['33 bytes', Buffer.alloc(33).toString('base64url')],
  ['nothing', ''],
  ['damaged PEM', '-----BEGIN PUBLIC KEY-----\nsecret\n-----END PUBLIC KEY-----'],
])('a public key is not read from %s, and the message does not quote it', (_, text) => {
  expect(() => publicKey(text)).toThrow(/^the public key is not a key by the rule "ed25519"/)
  expect(() => publicKey(text)).toThrow(/^(?!.*(9d61|MC4C|secret|MIGf))/)
})

test.each([
  ['a public key', publicKey(signingKey(seed, 'KEY').publicKey.text).pem],
  ['another kind of key', rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string],
  ['a passphrase', 'marked secret passphrase'],
  ['all zeros', '00'.repeat(32)],
  ['damaged PEM', '-----BEGIN PRIVATE KEY-----\nmarked\n-----END PRIVATE KEY-----'],
])('a signing key is not read from %s, and the message does not quote it', (_, text) => {
  expect(() => signingKey(text, 'SIGNING_KEY')).toThrow(/^SIGNING_KEY is not a key by the rule "ed25519"/)
  expect(() => signingKey(text, 'SIGNING_KEY')).toThrow(/^(?!.*marked)/)
})

test('a signing key prints nothing but who signs', () => {
  const key = signingKey(seed, 'KEY')
  const printed = [
    inspect(key, { depth: 9, showHidden: true }),
    JSON.stringify(key),
    String(key),
    inspect({ key }, { customInspect: false }),
  ]
  for (const text of printed) {
    expect(text).not.toContain(seed.slice(0, 8))
    expect(text).not.toContain(Buffer.from(seed, 'hex').toString('base64').slice(0, 8))
  }
  expect(JSON.stringify(key)).toBe('{"signer":"21fe31dfa154a261"}')
})
