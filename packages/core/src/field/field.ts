import { isUtf8 } from 'node:buffer'
import { inspect } from 'node:util'
import { isUint8Array } from 'node:util/types'
import { fail, isKeyturnError } from '../errors.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { type BoundColumn, canonicalOf } from './bound.ts'
import { checkDefinition } from './check-definition.ts'
import type { Codec, Stored } from './codec.ts'
import type { BoundValues, FieldDefinition, Identified, KeyedValue, Opened, Reader } from './definition.ts'
import type { Where } from './document.ts'
import { type FieldListener, tellOf } from './event.ts'
import { keptPattern } from './kept.ts'
import type { BoundArgument, DecryptedBytes, DecryptedText, EncryptedValue, Plaintext } from './kinds.ts'
import type { Location } from './location.ts'
import { Sources, type UnknownKey } from './sources.ts'

export type { BoundValues, FieldDefinition, Identified, KeyedValue, Opened, Reader } from './definition.ts'

// Each round of the race for reserved messages has a winner; so many lost in a row are not bad luck.
const RESERVE_TRIES = 100
const noBound: readonly Uint8Array[] = Object.freeze([])
const nothing = new Uint8Array(0)

/**
 * One place that holds encrypted values. It writes one codec under the active key of its keyring and reads several.
 *
 * What stands in the column is asked in this order: the codec it writes, then those it reads, each only where the value is in its
 * format. Plain text comes last, and only where no codec of the field claims the value.
 *
 * A field with `keyId` has two columns for each value, and methods of its own: `encryptKeyed` and `decryptKeyed`.
 *
 * What was encrypted and what was decrypted are different types: neither can be given for the other. `B` names the bound columns, where
 * the configuration says so in its type: the compiler asks for them then.
 */
export class Field<B extends string = string> {
  readonly name: string
  readonly location: Location
  readonly keyring: LiveKeyring
  readonly writes: Codec
  readonly reads: readonly Reader[]
  readonly bind: readonly BoundColumn[]
  readonly empty: 'refuse' | 'keep'
  readonly insertedFirst: boolean
  readonly where: Where
  readonly only: 'encrypted' | null
  readonly keyId: string | null
  readonly keep: RegExp | null
  readonly sensitive: readonly string[]
  readonly was: readonly string[]
  readonly #sources: Sources
  readonly #onEvent: FieldListener | undefined

  /** @throws `ERR_CONFIG` for a definition that cannot work: a name that cannot be permanent, a codec without keys to write, and more */
  constructor(definition: FieldDefinition) {
    checkDefinition(definition)
    this.name = definition.name
    this.location = definition.location
    this.keyring = definition.keyring
    this.writes = definition.writes
    this.reads = definition.reads
    this.bind = definition.bind
    this.empty = definition.empty
    this.insertedFirst = definition.insertedFirst ?? false
    this.where = definition.where ?? {}
    this.only = definition.only ?? null
    this.keyId = definition.keyId ?? null
    this.keep = definition.keep == null ? null : keptPattern(definition.keep, `field "${this.name}", keep`)
    this.sensitive = definition.sensitive ?? []
    this.was = definition.was ?? []
    this.#sources = new Sources(definition)
    this.#onEvent = definition.onEvent
  }

  /**
   * Encrypts under the active key. Reserves message counts where needed; a crash wastes counts and nothing else.
   *
   * @param plaintext - well-formed text or any bytes; may be empty
   * @param bound - the bound columns of the row, all of them and no others
   * @throws `ERR_NOT_TEXT` for text with lone surrogates, `ERR_BOUND_VALUE` for missing, mistyped or further columns
   * @throws {@link KeyError} `ERR_KEYRING_STALE` or `ERR_KEY_EXHAUSTED`
   */
  encrypt(plaintext: Plaintext, ...bound: BoundArgument<B>): Promise<EncryptedValue>
  async encrypt(plaintext: Plaintext, bound?: BoundValues): Promise<EncryptedValue> {
    this.#assertKeyed(false, 'encryptKeyed and decryptKeyed')
    const [bytes, values] = [this.#bytesOf(plaintext), this.#boundOf(bound)]
    return await this.#reserving(() => this.seal(bytes, values))
  }

  /** As `encrypt`, for column types that cannot wait. @throws `ERR_KEY_NOT_LOADED` when no messages are reserved */
  encryptSync(plaintext: Plaintext, ...bound: BoundArgument<B>): EncryptedValue
  encryptSync(plaintext: Plaintext, bound?: BoundValues): EncryptedValue {
    this.#assertKeyed(false, 'encryptKeyed and decryptKeyed')
    return this.seal(this.#bytesOf(plaintext), this.#boundOf(bound))
  }

  /**
   * As `encrypt`, for a field whose key id stands in a column of its own. Both results belong to the same key, whatever is activated
   * meanwhile: store them in one statement.
   *
   * @throws `ERR_USAGE` for a field without `keyId`
   */
  encryptKeyed(plaintext: Plaintext, ...bound: BoundArgument<B>): Promise<{ readonly value: EncryptedValue; readonly keyId: string }>
  async encryptKeyed(plaintext: Plaintext, bound?: BoundValues): Promise<{ readonly value: EncryptedValue; readonly keyId: string }> {
    this.#assertKeyed(true, 'encrypt and decrypt')
    const [bytes, values] = [this.#bytesOf(plaintext), this.#boundOf(bound)]
    return await this.#reserving(() => this.sealKeyed(bytes, values))
  }

  async #reserving<T>(seal: () => T): Promise<T> {
    for (let tries = 1; ; tries++) {
      await this.keyring.reserve(1)
      try {
        return seal()
      } catch (error) {
        // Others may have spent what was reserved before this one ran again.
        if (!isKeyturnError(error, 'ERR_KEY_NOT_LOADED') || tries === RESERVE_TRIES) throw error
      }
    }
  }

  /**
   * Opens a value and gives its text. Loads the keyring again, once, when the value names a key that is not known here.
   *
   * @throws `ERR_DECRYPT` when the value does not open, for whatever reason; also when it is one that the field keeps as it is
   * @throws `ERR_EMPTY_VALUE` for the stored empty string, unless the field keeps it
   * @throws `ERR_KEY_NOT_FOUND` when the key that it names does not exist or is destroyed
   * @throws `ERR_DEVELOPMENT_KEY` when the value does not open and the key is a development key
   * @throws `ERR_NOT_TEXT` when it opens and is not UTF-8
   */
  decrypt(stored: EncryptedValue, ...bound: BoundArgument<B>): Promise<DecryptedText>
  async decrypt(stored: EncryptedValue, bound?: BoundValues): Promise<DecryptedText> {
    return this.#textOf(await this.#bytes(stored, bound))
  }

  /** As `decrypt`, for column types that cannot wait. @throws `ERR_KEY_NOT_LOADED` when the value names a key not known here */
  decryptSync(stored: EncryptedValue, ...bound: BoundArgument<B>): DecryptedText
  decryptSync(stored: EncryptedValue, bound?: BoundValues): DecryptedText {
    return this.#textOf(this.#bytesSync(stored, bound))
  }

  /** As `decrypt`, for plaintexts that need not be text. */
  decryptBytes(stored: EncryptedValue, ...bound: BoundArgument<B>): Promise<DecryptedBytes>
  async decryptBytes(stored: EncryptedValue, bound?: BoundValues): Promise<DecryptedBytes> {
    return await this.#bytes(stored, bound)
  }

  async #bytes(stored: EncryptedValue, bound: BoundValues | undefined): Promise<Uint8Array> {
    this.#assertKeyed(false, 'encryptKeyed and decryptKeyed')
    return await this.#read(stored, this.#boundOf(bound), null)
  }

  /** As `decryptSync`, for plaintexts that need not be text. */
  decryptBytesSync(stored: EncryptedValue, ...bound: BoundArgument<B>): DecryptedBytes
  decryptBytesSync(stored: EncryptedValue, bound?: BoundValues): DecryptedBytes {
    return this.#bytesSync(stored, bound)
  }

  #bytesSync(stored: EncryptedValue, bound: BoundValues | undefined): Uint8Array {
    this.#assertKeyed(false, 'encryptKeyed and decryptKeyed')
    return this.#told(this.open(stored, this.#boundOf(bound)))
  }

  /**
   * As `decrypt`, for a field whose key id stands in a column of its own: both as they stand in the row. Without a key id (null) the value
   * is in an older form, which the field must read.
   *
   * @throws `ERR_USAGE` for a field without `keyId`
   */
  decryptKeyed(stored: KeyedValue, ...bound: BoundArgument<B>): Promise<DecryptedText>
  async decryptKeyed({ value, keyId }: KeyedValue, bound?: BoundValues): Promise<DecryptedText> {
    this.#assertKeyed(true, 'encrypt and decrypt')
    return this.#textOf(await this.#read(value, this.#boundOf(bound), keyId))
  }

  async #read(stored: Stored, bound: readonly Uint8Array[], keyId: string | null): Promise<Uint8Array> {
    let opened: Opened
    try {
      opened = this.open(stored, bound, keyId)
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_KEY_NOT_LOADED')) throw error
      await this.reload(stored, keyId)
      opened = this.#open(stored, bound, keyId, 'ERR_KEY_NOT_FOUND')
    }
    return this.#told(opened)
  }

  #told(opened: Opened): Uint8Array {
    if (this.#onEvent !== undefined) tellOf(this.#onEvent, this.name, opened)
    return opened.plaintext
  }

  #assertKeyed(keyed: boolean, instead: string): void {
    if ((this.keyId !== null) === keyed) return
    const why = keyed ? 'has no column for key ids' : 'keeps its key ids in a column of their own'
    throw fail('ERR_USAGE', `field "${this.name}" ${why}: use ${instead}`)
  }

  /**
   * For the engine: loads the keyrings again that may know by now which key opens a value. Only by the id that the value names, or that
   * stands beside it: a load without one has no limit, and values with made-up ids would each cause one.
   */
  async reload(stored: Stored, keyId?: string | null): Promise<void> {
    await this.#sources.reload(stored, keyId)
  }

  /**
   * For the engine: the canonical bytes of the bound columns, in the order of `bind`.
   *
   * @throws `ERR_BOUND_VALUE`
   */
  canonicalBound(values: readonly unknown[]): readonly Uint8Array[] {
    return this.bind.length === 0 ? noBound : this.bind.map((bound, index) => canonicalOf(this.name, bound, values[index]))
  }

  /**
   * For the engine: encrypts under `version`, the active one unless given. A version that is given was spent by the caller; else
   * one message is spent.
   *
   * @throws `ERR_USAGE` for a result that the field would keep as it is: nothing could open it again
   */
  seal(plaintext: Uint8Array, bound: readonly Uint8Array[], version: KeyVersion = this.keyring.spend(1)): Stored {
    const stored = this.writes.encrypt(plaintext, version, this.#sources.writer.context(bound))
    if (this.keep !== null && this.isKept(stored)) {
      throw fail('ERR_USAGE', `field "${this.name}": what would be stored matches the pattern of what it keeps, and would never open again`)
    }
    return stored
  }

  /** As `seal`, with the id of the version that sealed. */
  sealKeyed(plaintext: Uint8Array, bound: readonly Uint8Array[]): { readonly value: Stored; readonly keyId: string } {
    const version = this.keyring.spend(1)
    return { value: this.seal(plaintext, bound, version), keyId: version.id }
  }

  /** For the engine: as `seal`, of many values under one version. @returns what is stored, in their order, and the id of the version */
  sealMany(plaintexts: readonly Uint8Array[], bound: readonly (readonly Uint8Array[])[]): { stored: readonly Stored[]; keyId: string } {
    const version = this.keyring.spend(plaintexts.length)
    const contexts = bound.map((values) => this.#sources.writer.context(values))
    const together = this.keep === null ? (this.writes.encryptMany?.(plaintexts, version, contexts) ?? null) : null
    const stored = together ?? plaintexts.map((plaintext, index) => this.seal(plaintext, bound[index] as readonly Uint8Array[], version))
    return { stored, keyId: version.id }
  }

  /**
   * For the engine: opens a value and says whether it is current. Tells no listener.
   *
   * @param keyId - of a field with a column for key ids, what stands there; null means an older form
   * @throws as `decryptSync`
   */
  open(stored: Stored, bound: readonly Uint8Array[], keyId?: string | null): Opened {
    return this.#open(stored, bound, keyId, 'ERR_KEY_NOT_LOADED')
  }

  /**
   * For the engine: opens many values at once. Null where `open` must be asked: for what does not open under the likeliest key of the
   * first format that it has, and for formats that cannot open many. What `isKept` must not be among them.
   *
   * @param bound - the canonical bound values of each
   * @param keyIds - of a field with a column for key ids, what stands there
   */
  openMany(stored: readonly Stored[], bound: readonly (readonly Uint8Array[])[], keyIds?: readonly (string | null)[]): (Opened | null)[] {
    return this.#sources.openMany(stored, bound, keyIds)
  }

  /**
   * For the engine: what all current values begin with and no others do, or null where the format has no such mark, and where values
   * under an older name of the field would have it too.
   */
  currentPrefix(): Stored | null {
    return this.was.length > 0 ? null : this.writes.prefixOf(this.keyring.snapshot.active)
  }

  /** For the engine: the key id that `stored` names, or that stands beside it; null if there is none. */
  keyIdOf(stored: Stored, keyId?: string | null): string | null {
    return this.#sources.keyIdOf(stored, keyId)
  }

  /**
   * For the engine: format and key of a value that names its key, without opening it: it may be damaged all the same. Null where only
   * opening says: for formats that name no key, for a key that is not known here, and where the field has older names.
   *
   * @param keyId - of a field with a column for key ids, what stands there
   */
  identify(stored: Stored, keyId?: string | null): Identified | null {
    return this.was.length > 0 ? null : this.#sources.identify(stored, keyId)
  }

  /**
   * For the engine: whether the field leaves `stored` as it is: the empty string as "not set", or a text that its pattern names. Asked
   * before any codec.
   */
  isKept(stored: Stored): boolean {
    if (stored.length === 0) return this.empty === 'keep'
    return this.keep !== null && typeof stored === 'string' && this.keep.test(stored)
  }

  /**
   * Whether `stored` is, or may be a damaged, value of one of the formats that the field reads and writes: what must not be taken for
   * plain text. Needs no key. Where the field takes only what is encrypted, this says what that is.
   */
  claims(stored: Stored): boolean {
    return this.#sources.claims(stored)
  }

  #open(stored: Stored, bound: readonly Uint8Array[], keyId: string | null | undefined, unknownKey: UnknownKey): Opened {
    if (typeof stored !== 'string' && !isUint8Array(stored)) {
      throw fail('ERR_USAGE', `field "${this.name}": a stored value is text or bytes. NULL holds none: leave it as it is`)
    }
    if (stored.length === 0) {
      if (this.empty === 'refuse') throw fail('ERR_EMPTY_VALUE')
      return { plaintext: nothing, current: true, codec: this.writes, version: null, keyring: null }
    }
    if (this.keep !== null && this.isKept(stored)) throw fail('ERR_DECRYPT')
    return this.#sources.open(stored, bound, keyId, unknownKey)
  }

  // Loops and no closures: this is in the path of every value, whose encryption takes a few microseconds.
  #boundOf(bound: BoundValues | undefined): readonly Uint8Array[] {
    if (bound === undefined && this.bind.length === 0) return noBound
    const values: Uint8Array[] = []
    for (const each of this.bind) {
      const given = bound !== undefined && Object.hasOwn(bound, each.column)
      values.push(canonicalOf(this.name, each, given ? bound[each.column] : undefined))
    }
    for (const column in bound) {
      if (!this.bind.some((each) => each.column === column)) {
        throw fail('ERR_BOUND_VALUE', this.name, column, 'none: it is not bound to that column')
      }
    }
    return values
  }

  #bytesOf(plaintext: string | Uint8Array): Uint8Array {
    if (isUint8Array(plaintext)) return plaintext
    if (typeof plaintext !== 'string' || !plaintext.isWellFormed()) throw fail('ERR_NOT_TEXT', this.name, 'what is to be encrypted')
    return Buffer.from(plaintext)
  }

  #textOf(plaintext: Uint8Array): string {
    const text = (Buffer.isBuffer(plaintext) ? plaintext : Buffer.from(plaintext)).toString('utf8')
    // What is not UTF-8 leaves this character; only then is it worth a second look.
    if (text.includes('\uFFFD') && !isUtf8(plaintext)) throw fail('ERR_NOT_TEXT', this.name, 'the plaintext')
    return text
  }

  /** Names only. */
  toJSON(): object {
    const { name, location, keyring, writes, reads, bind, empty, keyId, was } = this
    const codecs = reads.map(({ codec }) => codec.name)
    return { name, location, keyring: keyring.name, writes: writes.name, reads: codecs, bind, empty, keyId, was }
  }

  [inspect.custom](): string {
    return `Field { name: '${this.name}', keyring: '${this.keyring.name}', writes: '${this.writes.name}' }`
  }
}
