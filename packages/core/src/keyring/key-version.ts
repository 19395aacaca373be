import { createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import type { KeyState } from './key-state.ts'

/** What everybody may know of a key version. Plain data; no material. */
export interface KeyVersionFacts {
  /** Random and permanent: eight characters of RFC 4648 base32 in lower case for keys that Keyturn makes. */
  readonly id: string
  /** 1, 2, 3 … in the order of creation within its keyring. */
  readonly number: number
  readonly state: KeyState
  /** A mark beside the state: known or believed to be in the hands of others. */
  readonly compromised: boolean
  readonly createdAt: Date
  readonly activatedAt: Date | null
  readonly retiredAt: Date | null
  readonly destroyedAt: Date | null
}

/**
 * The bytes of one key and what is derived from them, shared by all snapshots of its keyring in this process.
 *
 * Never printed: `toJSON` and `inspect` show nothing of the bytes; `exportPlaintextKey` is the one way out.
 */
export class KeyMaterial {
  readonly #key: KeyObject
  readonly #derived = new Map<string, KeyObject>()

  /** @param bytes - the key; copied, the caller may erase its own */
  constructor(bytes: Uint8Array) {
    this.#key = createSecretKey(bytes)
  }

  /** The key itself, for codecs that use it directly. A cached `KeyObject`: three to four times faster than bytes. */
  get key(): KeyObject {
    return this.#key
  }

  /** 32 bytes of HKDF-SHA256 over the key with an empty salt, cached by `info`. */
  derive(info: string): KeyObject {
    let key = this.#derived.get(info)
    if (key === undefined) {
      key = createSecretKey(Buffer.from(hkdfSync('sha256', this.#key, Buffer.alloc(0), Buffer.from(info, 'latin1'), 32)))
      this.#derived.set(info, key)
    }
    return key
  }

  /** Whether both hold the same bytes, in constant time. */
  equals(other: KeyMaterial): boolean {
    const [a, b] = [this.#key.export(), other.#key.export()]
    return a.length === b.length && timingSafeEqual(a, b)
  }

  /** Dangerous: the bytes of the key, to be wrapped and for nothing else. */
  exportPlaintextKey(): Buffer {
    return this.#key.export()
  }

  toJSON(): object {
    return {}
  }

  [inspect.custom](): string {
    return 'KeyMaterial {}'
  }
}

/** One key of a keyring: its facts, and its material while it is not destroyed. Immutable; a change of state is a new object. */
export class KeyVersion implements KeyVersionFacts {
  readonly id: string
  readonly number: number
  readonly state: KeyState
  readonly compromised: boolean
  readonly createdAt: Date
  readonly activatedAt: Date | null
  readonly retiredAt: Date | null
  readonly destroyedAt: Date | null
  readonly #material: KeyMaterial | null

  constructor(facts: KeyVersionFacts, material: KeyMaterial | null) {
    this.id = facts.id
    this.number = facts.number
    this.state = facts.state
    this.compromised = facts.compromised
    this.createdAt = facts.createdAt
    this.activatedAt = facts.activatedAt
    this.retiredAt = facts.retiredAt
    this.destroyedAt = facts.destroyedAt
    this.#material = facts.state === 'destroyed' ? null : material
  }

  /** The material, or null once destroyed. */
  get material(): KeyMaterial | null {
    return this.#material
  }

  /** The facts, without material. */
  toJSON(): KeyVersionFacts {
    const { id, number, state, compromised, createdAt, activatedAt, retiredAt, destroyedAt } = this
    return { id, number, state, compromised, createdAt, activatedAt, retiredAt, destroyedAt }
  }

  [inspect.custom](): string {
    return `KeyVersion { id: '${this.id}', number: ${this.number}, state: '${this.state}' }`
  }
}
