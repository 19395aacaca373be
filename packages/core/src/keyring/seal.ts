import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { KeyVersionFacts } from './key-version.ts'

/** Text with its length before it, so that no two lists of texts have the same bytes. */
function lengthPrefixed(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A moment or its absence in nine bytes: 01 and milliseconds since 1970 as a signed 64-bit integer, or nine zeros. */
function moment(date: Date | null): Buffer {
  const bytes = Buffer.alloc(9)
  if (date !== null) {
    bytes[0] = 1
    bytes.writeBigInt64BE(BigInt(date.getTime()), 1)
  }
  return bytes
}

/** Which key is wrapped: authenticated with the wrapping, so that it opens nowhere else. */
export interface WrappingPlace {
  readonly rootId: string
  readonly keyring: string
  /** Id of the version or of the seal. */
  readonly id: string
  /** Number of the version; 0 for the seal. */
  readonly number: number
}

/**
 * Associated data of a wrapping: `"keyturn/wrapping" 00 ‖ lp16(root id) ‖ lp16(keyring) ‖ lp16(id) ‖ u32be(number)`, where lp16 is
 * u16be(length) ‖ UTF-8. Never change: wrappings that exist would not open any more.
 */
export function wrappingData({ rootId, keyring, id, number }: WrappingPlace): Buffer {
  return Buffer.concat([
    Buffer.from('keyturn/wrapping\0', 'latin1'),
    lengthPrefixed(rootId),
    lengthPrefixed(keyring),
    lengthPrefixed(id),
    uint32(number),
  ])
}

/** What the seal of a keyring authenticates. */
export interface SealedFacts {
  readonly name: string
  readonly revision: number
  readonly versions: readonly KeyVersionFacts[]
}

/**
 * HMAC-SHA256 under the seal key over
 * `"keyturn/keyring" 00 ‖ lp16(name) ‖ u64be(revision) ‖ u32be(versions)`, then for each version in the order of its number
 * `lp16(id) ‖ u32be(number) ‖ lp16(state) ‖ compromised (00 or 01) ‖ created ‖ activated ‖ retired ‖ destroyed`.
 * Never change: keyrings that exist would be taken for forged.
 */
export function sealOf({ name, revision, versions }: SealedFacts, key: KeyObject): Uint8Array {
  const head = Buffer.alloc(8)
  head.writeBigUInt64BE(BigInt(revision))
  const mac = createHmac('sha256', key)
    .update('keyturn/keyring\0')
    .update(lengthPrefixed(name))
    .update(head)
    .update(uint32(versions.length))
  for (const version of [...versions].sort((a, b) => a.number - b.number)) {
    mac.update(lengthPrefixed(version.id)).update(uint32(version.number)).update(lengthPrefixed(version.state))
    mac.update(Uint8Array.of(version.compromised ? 1 : 0))
    for (const date of [version.createdAt, version.activatedAt, version.retiredAt, version.destroyedAt]) mac.update(moment(date))
  }
  return new Uint8Array(mac.digest())
}

function sealOrNothing(facts: SealedFacts, key: KeyObject): Uint8Array {
  try {
    return sealOf(facts, key)
  } catch {
    // Somebody wrote what no seal can hold, such as a date that is none.
    return new Uint8Array(0)
  }
}

/** Whether `mac` is the seal of these facts, in constant time. */
export function isSealed(facts: SealedFacts, mac: Uint8Array, key: KeyObject): boolean {
  const expected = sealOrNothing(facts, key)
  return mac.length === expected.length && timingSafeEqual(mac, expected)
}
