import { isKeyturnError } from '../errors.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { Keyring } from '../keyring/keyring.ts'
import { candidates, type LiveKeyring } from '../keyring/live-keyring.ts'
import type { Codec, Stored } from './codec.ts'
import type { Context } from './context.ts'

/** What opened a value. */
export interface SourceOpened {
  readonly plaintext: Uint8Array
  readonly version: KeyVersion
  /** Whether it was sealed under an older name of the field. */
  readonly renamed: boolean
}

/** One format that a field reads together with the keys that open it. */
export class Source {
  readonly codec: Codec
  readonly keyring: LiveKeyring
  readonly #unbound: Context
  readonly #was: readonly string[]
  #snapshot: Keyring | null = null
  #versions: KeyVersion[] = []
  #prefixOf: Keyring | null = null
  #prefix: Stored | null = null

  /** @param was - older names of the field, under which values may have been sealed */
  constructor(codec: Codec, keyring: LiveKeyring, field: string, was: readonly string[] = []) {
    this.codec = codec
    this.keyring = keyring
    this.#unbound = Object.freeze({ keyring: keyring.name, field, bound: Object.freeze([]) })
    this.#was = was
  }

  /** What is authenticated with a value of this format; one object for all values that are bound to nothing. */
  context(bound: readonly Uint8Array[]): Context {
    if (bound.length === 0) return this.#unbound
    return { keyring: this.#unbound.keyring, field: this.#unbound.field, bound }
  }

  /** Opens a value that the codec matches; null when no key of the keyring opens it. */
  open(stored: Stored, bound: readonly Uint8Array[]): SourceOpened | null {
    if (!this.codec.namesKey) return this.#tryAll(stored, bound)
    const version = this.named(stored)
    return version?.material ? this.openUnder(stored, version, bound) : null
  }

  /** Opens a value that begins as those of the active version do, which most do; null for all others. */
  openCurrent(stored: string, bound: readonly Uint8Array[]): SourceOpened | null {
    const { snapshot } = this.keyring
    if (this.#prefixOf !== snapshot) {
      this.#prefixOf = snapshot
      this.#prefix = this.codec.prefixOf(snapshot.active)
    }
    const begins = typeof this.#prefix === 'string' && stored.startsWith(this.#prefix)
    return begins ? this.openUnder(stored, snapshot.active, bound) : null
  }

  /** Opens a value under one version, by the name of the field or an older one; null when it does not open. */
  openUnder(stored: Stored, version: KeyVersion, bound: readonly Uint8Array[]): SourceOpened | null {
    const plaintext = this.#decrypt(stored, version, this.context(bound))
    if (plaintext !== null) return { plaintext, version, renamed: false }
    for (const field of this.#was) {
      const older = this.#decrypt(stored, version, { keyring: this.keyring.name, field, bound })
      if (older !== null) return { plaintext: older, version, renamed: true }
    }
    return null
  }

  /** The version that `stored` names, also a destroyed one; undefined if it is unknown or none is named. */
  named(stored: Stored): KeyVersion | undefined {
    const id = this.codec.keyIdOf(stored)
    return id === null ? undefined : this.keyring.snapshot.get(id)
  }

  /** The version that most likely opens a value which the codec matches: the one it names, or the one that opened the last. */
  likely(stored: Stored): KeyVersion | null {
    const version = this.codec.namesKey ? this.named(stored) : this.#candidates()[0]
    return version?.material ? version : null
  }

  // A wrong key costs several times what the right one costs, because the failure is thrown: the version that opened the last
  // value is tried first.
  #tryAll(stored: Stored, bound: readonly Uint8Array[]): SourceOpened | null {
    for (const [index, version] of this.#candidates().entries()) {
      const opened = this.openUnder(stored, version, bound)
      if (opened === null) continue
      if (index > 0) this.#versions = [version, ...this.#versions.filter((other) => other !== version)]
      return opened
    }
    return null
  }

  #candidates(): readonly KeyVersion[] {
    if (this.#snapshot !== this.keyring.snapshot) {
      this.#snapshot = this.keyring.snapshot
      this.#versions = candidates(this.#snapshot).filter(({ material }) => material !== null)
    }
    return this.#versions
  }

  #decrypt(stored: Stored, version: KeyVersion, context: Context): Uint8Array | null {
    try {
      return this.codec.decrypt(stored, version, context)
    } catch (error) {
      if (isKeyturnError(error, 'ERR_DECRYPT')) return null
      throw error
    }
  }
}
