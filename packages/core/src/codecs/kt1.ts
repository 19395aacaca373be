import type { KeyObject } from 'node:crypto'
import { fail } from '../errors.ts'
import type { Codec, Stored } from '../field/codec.ts'
import { checkOptions, oneOf } from '../field/codec-options.ts'
import type { Context } from '../field/context.ts'
import { isReserved } from '../field/reserved.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import { materialOf, open, seal, TAG_BYTES } from './aes-gcm/cipher.ts'
import { keyIdFromBytes, keyIdPattern, keyIdToBytes } from './aes-gcm/key-id.ts'
import { type Message, openMany, sealMany } from './aes-gcm/many.ts'
import { fillNonce } from './aes-gcm/nonce.ts'
import { asBuffer, textOf } from './aes-gcm/shape.ts'

/** Options of the codec `kt1`. */
export interface Kt1Options {
  /** `text` for text columns, unless given; `bytes` for bytea columns. */
  readonly encoding?: 'text' | 'bytes'
}

// Never change any of these: they are the format (spec/kt1.md), and values are in databases.
const NONCE_BYTES = 12
const HEAD_BYTES = 8
const MIN_BODY_BYTES = NONCE_BYTES + TAG_BYTES
const TEXT_HEAD = 'kt1.'
const BYTES_HEAD = 'kt\u0001'
const TEXT_BODY_AT = 13
const MIN_TEXT = TEXT_BODY_AT + Math.ceil((MIN_BODY_BYTES * 4) / 3)
const VALUE_MARK = 1

// Texts of usual length are decoded here. It holds ciphertext only, and nothing of it is kept beyond the call.
const SCRATCH_BYTES = 4096
const scratch = Buffer.alloc(SCRATCH_BYTES)
// The nonce of the value that is being sealed; read before anything else can run.
const nonce = Buffer.alloc(NONCE_BYTES)

/** What all values of one field under one key version share. */
interface Prepared {
  readonly keyring: string
  readonly field: string
  readonly key: KeyObject
  readonly prefix: string
  /** `6b 74 01 ‖ kid`. */
  readonly head: Buffer
  /** The associated data of a value that is bound to nothing. */
  readonly unbound: Buffer
}

/** Keyturn's own format: AES-256-GCM that names its key version and authenticates keyring, field and bound values (spec/kt1.md). */
export default function kt1(options: Kt1Options = {}): Codec {
  checkOptions('kt1', options, ['encoding'])
  return oneOf('kt1', 'encoding', options.encoding, ['text', 'bytes']) === 'text' ? textCodec : bytesCodec
}

const textCodec: Codec = {
  name: 'kt1',
  namesKey: true,
  matches: isText,
  claims,
  keyIdOf: (stored) => (isText(stored) ? stored.substring(4, 12) : null),
  prefixOf: ({ id }) => (keyIdPattern.test(id) ? `${TEXT_HEAD}${id}.` : null),
  encrypt(plaintext, version, context) {
    const prepared = prepare(version, context)
    return prepared.prefix + encryptBody(plaintext, prepared, context, 0).toString('base64url')
  },
  decrypt(stored, version, context) {
    const prepared = prepare(version, context)
    if (typeof stored !== 'string' || stored.length < MIN_TEXT || !stored.startsWith(prepared.prefix)) throw fail('ERR_DECRYPT')
    const text = stored.substring(TEXT_BODY_AT)
    const body = text.length <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(text.length)
    const length = body.write(text, 'base64url')
    if (!isCanonical(text, body, 0, length)) throw fail('ERR_DECRYPT')
    return decryptBody(body, { start: 0, end: length }, prepared, context)
  },
  encryptMany(plaintexts, version, contexts) {
    const prepared = contexts[0] === undefined ? null : prepare(version, contexts[0])
    const body = ({ bytes, start, end }: Message) => asBuffer(bytes).toString('base64url', start, end)
    return prepared && (sealEach(prepared, plaintexts, contexts)?.map((message) => prepared.prefix + body(message)) ?? null)
  },
  decryptMany(stored, version, contexts) {
    const prepared = contexts[0] === undefined ? null : prepare(version, contexts[0])
    let size = 0
    for (const text of stored) size += text.length
    const bytes = Buffer.allocUnsafe(size)
    let start = 0
    const messages = stored.map((text, index): Message | null => {
      if (prepared === null || typeof text !== 'string' || text.length < MIN_TEXT || !text.startsWith(prepared.prefix)) return null
      const body = text.substring(TEXT_BODY_AT)
      const end = start + bytes.write(body, start, 'base64url')
      if (!isCanonical(body, bytes, start, end)) return null
      const message = { bytes, start, end, aad: associatedData(prepared, contexts[index] as Context) }
      start = end
      return message
    })
    return prepared === null ? [] : openEach(prepared, messages)
  },
}

const bytesCodec: Codec = {
  name: 'kt1',
  namesKey: true,
  matches: isBytes,
  claims,
  keyIdOf: (stored) => (isBytes(stored) ? keyIdFromBytes(stored, 3) : null),
  prefixOf({ id }) {
    const kid = keyIdToBytes(id)
    return kid && headOf(kid)
  },
  encrypt(plaintext, version, context) {
    const prepared = prepare(version, context)
    const bytes = encryptBody(plaintext, prepared, context, HEAD_BYTES)
    prepared.head.copy(bytes)
    return bytes
  },
  decrypt(stored, version, context) {
    if (!isBytes(stored)) throw fail('ERR_DECRYPT')
    const prepared = prepare(version, context)
    const bytes = asBuffer(stored)
    if (prepared.head.compare(bytes, 0, HEAD_BYTES) !== 0) throw fail('ERR_DECRYPT')
    return decryptBody(bytes, { start: HEAD_BYTES, end: bytes.length }, prepared, context)
  },
  encryptMany(plaintexts, version, contexts) {
    const prepared = contexts[0] === undefined ? null : prepare(version, contexts[0])
    const whole = ({ bytes, start, end }: Message) => Buffer.concat([prepared?.head as Buffer, bytes.subarray(start, end)])
    return prepared && (sealEach(prepared, plaintexts, contexts)?.map(whole) ?? null)
  },
  decryptMany(stored, version, contexts) {
    const prepared = contexts[0] === undefined ? null : prepare(version, contexts[0])
    const messages = stored.map((bytes, index): Message | null => {
      if (prepared === null || !isBytes(bytes) || prepared.head.compare(bytes, 0, HEAD_BYTES) !== 0) return null
      return { bytes, start: HEAD_BYTES, end: bytes.length, aad: associatedData(prepared, contexts[index] as Context) }
    })
    return prepared === null ? [] : openEach(prepared, messages)
  },
}

function sealEach(prepared: Prepared, plaintexts: readonly Uint8Array[], contexts: readonly Context[]): Message[] | null {
  return sealMany(
    prepared.key,
    plaintexts.map((plaintext, index) => ({ plaintext, aad: associatedData(prepared, contexts[index] as Context) })),
  )
}

/** Opens what has the right form. All of them have one key. */
function openEach({ key }: Prepared, messages: readonly (Message | null)[]): (Uint8Array | null)[] {
  const opened = openMany(
    key,
    messages.filter((message) => message !== null),
  )
  let next = 0
  return messages.map((message) => (message === null ? null : (opened[next++] ?? null)))
}

/**
 * Whether `text` is the one spelling in base64url of the bytes that it was decoded to: no foreign character, no padding, spare bits zero.
 * Node's decoder passes over all of these, and takes U+0141 for "A". To spell them again is faster than to look at each character.
 */
function isCanonical(text: string, bytes: Buffer, start: number, end: number): boolean {
  return bytes.toString('base64url', start, end) === text
}

function isText(stored: Stored): stored is string {
  if (typeof stored !== 'string' || stored.length < MIN_TEXT || !stored.startsWith(TEXT_HEAD)) return false
  for (let at = TEXT_HEAD.length; at < TEXT_BODY_AT - 1; at++) if (!isKeyIdCharacter(stored.charCodeAt(at))) return false
  return stored[TEXT_BODY_AT - 1] === '.'
}

/** `a-z2-7`. By code and not by an expression: this is asked twice of every value. */
function isKeyIdCharacter(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x32 && code <= 0x37)
}

function isBytes(stored: Stored): stored is Uint8Array {
  return (
    typeof stored !== 'string' &&
    stored.length >= HEAD_BYTES + MIN_BODY_BYTES &&
    stored[0] === 0x6b &&
    stored[1] === 0x74 &&
    stored[2] === 0x01
  )
}

/** Also what has one damaged character in its head, has lost its beginning or its end, or is a newer version's. */
function claims(stored: Stored): boolean {
  if (isReserved(stored)) return true
  const text = textOf(stored)
  if (text === null) return inCommon(asBuffer(stored as Uint8Array).toString('latin1', 0, 3), BYTES_HEAD) >= 2
  if (inCommon(text, BYTES_HEAD) >= 2 && /\p{Cc}/u.test(text)) return true
  if (inCommon(text, TEXT_HEAD) >= 3 || (text !== '' && TEXT_HEAD.startsWith(text))) return true
  return /^.{0,4}[a-z2-7]{8}\.[A-Za-z0-9_-]{38}/su.test(text) || /^kt[0-9]+\./i.test(text)
}

/** How many characters of `head` stand in `text` at the same place. */
function inCommon(text: string, head: string): number {
  let count = 0
  for (let index = 0; index < head.length; index++) if (text[index] === head[index]) count++
  return count
}

// By key version and not by key: the head holds the id. Forgotten with the snapshot of the keyring that made the version.
const preparedByVersion = new WeakMap<KeyVersion, Prepared[]>()

function prepare(version: KeyVersion, context: Context): Prepared {
  const known = preparedByVersion.get(version)
  // A version serves a few fields: looking through them is faster than a map of maps.
  if (known !== undefined) {
    for (const prepared of known) if (prepared.field === context.field && prepared.keyring === context.keyring) return prepared
  }
  return prepareFirst(version, context)
}

function prepareFirst(version: KeyVersion, context: Context): Prepared {
  const material = materialOf(version, context)
  const kid = keyIdToBytes(version.id)
  if (kid === null) throw fail('ERR_USAGE', `keyring "${context.keyring}": kt1 needs key ids of eight characters a-z and 2-7`)
  const head = headOf(kid)
  const prepared = {
    keyring: context.keyring,
    field: context.field,
    key: material.derive(derivationInfo(context).toString('latin1')),
    prefix: `${TEXT_HEAD}${version.id}.`,
    head,
    unbound: Buffer.concat([head, Buffer.alloc(2)]),
  }
  preparedByVersion.set(version, [...(preparedByVersion.get(version) ?? []), prepared])
  return prepared
}

function headOf(kid: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x6b, 0x74, 0x01]), kid])
}

/** `"keyturn/kt1" 00 ‖ lp16(keyring) ‖ lp16(field)`. */
function derivationInfo({ keyring, field }: Context): Buffer {
  return Buffer.concat([Buffer.from('keyturn/kt1\0'), lengthPrefixed(keyring), lengthPrefixed(field)])
}

function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function associatedData({ head, unbound }: Prepared, { bound }: Context): Buffer {
  if (bound.length === 0) return unbound
  let length = HEAD_BYTES + 2
  for (const value of bound) length += 5 + value.length
  const aad = Buffer.allocUnsafe(length)
  head.copy(aad)
  let at = aad.writeUInt16BE(bound.length, HEAD_BYTES)
  for (const value of bound) {
    at = aad.writeUInt8(VALUE_MARK, at)
    at = aad.writeUInt32BE(value.length, at)
    aad.set(value, at)
    at += value.length
  }
  return aad
}

/** `nonce ‖ ciphertext ‖ tag` behind `offset` bytes that the caller fills. */
function encryptBody(plaintext: Uint8Array, prepared: Prepared, context: Context, offset: number): Buffer {
  const out = Buffer.allocUnsafe(offset + MIN_BODY_BYTES + plaintext.length)
  fillNonce(nonce, NONCE_BYTES)
  out.set(nonce, offset)
  const { ciphertext, tag } = seal(prepared.key, nonce, associatedData(prepared, context), plaintext)
  out.set(ciphertext, offset + NONCE_BYTES)
  out.set(tag, out.length - TAG_BYTES)
  return out
}

function decryptBody(bytes: Buffer, { start, end }: { start: number; end: number }, prepared: Prepared, context: Context): Buffer {
  const [from, to] = [start + NONCE_BYTES, end - TAG_BYTES]
  const sealed = { ciphertext: bytes.subarray(from, to), tag: bytes.subarray(to, end) }
  return open(prepared.key, bytes.subarray(start, from), associatedData(prepared, context), sealed)
}
