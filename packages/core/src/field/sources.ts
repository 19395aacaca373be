import { fail, type KeyturnError } from '../errors.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import { kidBytes } from '../keyring/kid.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import type { Codec, Stored } from './codec.ts'
import type { Context } from './context.ts'
import type { FieldDefinition, Identified, Opened, Reader } from './definition.ts'
import { isReserved } from './reserved.ts'
import { Source, type SourceOpened } from './source.ts'

/** What becomes of a value whose key is not known here: the keyring may be loaded again, or has been. */
export type UnknownKey = 'ERR_KEY_NOT_LOADED' | 'ERR_KEY_NOT_FOUND'

const noBound: readonly Uint8Array[] = Object.freeze([])

/** Values that one version opens at once, with their indexes among all. */
interface Group {
  readonly source: Source
  readonly version: KeyVersion
  readonly indexes: number[]
  readonly stored: Stored[]
  readonly contexts: Context[]
}

/** A format and the version of its keyring that a value names. */
interface Named {
  readonly source: Source
  readonly version: KeyVersion
}

/**
 * All formats of one field with their keys, in the order in which they are asked: the one it writes, then those it reads, each only
 * where the value is in its format. Plain text comes last, and only where no codec of the field claims the value.
 *
 * A field with a column for key ids opens what has one by the format that it writes, under the version of its keyring with that id and
 * no other; where its keyring has none, by a format that it reads whose keyring has foreign ids and knows this one. What has no key id is
 * opened by the other formats that it reads.
 */
export class Sources {
  readonly #name: string
  readonly #keyring: LiveKeyring
  readonly #keyed: boolean
  readonly #all: readonly Source[]
  readonly #writer: Source
  /** What opens a value that names no key beside it. */
  readonly #older: readonly Source[]
  /** What opens a value beside an id that another system chose; of fields with a column for key ids. */
  readonly #foreign: readonly Source[]
  readonly #keyless: readonly Codec[]

  /** @throws `ERR_CONFIG` for a reader without a keyring */
  constructor({ name, keyring, writes, reads, keyId = null, was = [] }: FieldDefinition) {
    this.#name = name
    this.#keyring = keyring
    this.#keyed = keyId !== null
    this.#writer = new Source(writes, keyring, name, was)
    const older = reads.flatMap((reader) => sourceOf(reader, name, was))
    this.#foreign = this.#keyed ? older.filter(({ keyring }) => keyring.foreignIds) : []
    this.#older = older.filter((source) => !this.#foreign.includes(source))
    this.#all = [this.#writer, ...older]
    this.#keyless = reads.flatMap(({ codec }) => (codec.keyless ? [codec] : []))
  }

  /** The format that the field writes, under its own name. */
  get writer(): Source {
    return this.#writer
  }

  /** The names of all keyrings. */
  get keyrings(): string[] {
    return this.#all.map(({ keyring }) => keyring.name)
  }

  /** Opens what is not empty and not kept. */
  open(stored: Stored, bound: readonly Uint8Array[], keyId: string | null | undefined, unknownKey: UnknownKey): Opened {
    if (this.#keyed) return this.#openKeyed(stored, bound, keyId, unknownKey)
    const now = typeof stored === 'string' ? this.#writer.openCurrent(stored, bound) : null
    if (now !== null) return this.#opened(this.#writer, now)
    return this.#openBy(this.#all, stored, bound) ?? this.#openPlain(stored) ?? this.#refuse(this.#all, stored, unknownKey)
  }

  #openKeyed(stored: Stored, bound: readonly Uint8Array[], keyId: string | null | undefined, unknownKey: UnknownKey): Opened {
    if (keyId === null) {
      return this.#openBy(this.#older, stored, bound) ?? this.#openPlain(stored) ?? this.#refuse(this.#older, stored, unknownKey)
    }
    if (typeof keyId !== 'string') throw fail('ERR_USAGE', `field "${this.#name}": a value is opened with the key id of its row, or null`)
    const beside = this.#beside(keyId)
    const [first] = beside
    if (first === undefined) throw this.#unknown(keyId, unknownKey)
    const known = beside.filter(({ version }) => version.material !== null)
    if (known.length === 0) throw fail('ERR_KEY_NOT_FOUND', first.source.keyring.name, first.version.id)
    for (const { source, version } of known) {
      const opened = source.openUnder(stored, version, bound)
      if (opened !== null) return this.#opened(source, opened)
    }
    throw fail('ERR_DECRYPT')
  }

  /** The formats and the version that a key id beside a value stands for. The keyring that writes has the first word. */
  #beside(keyId: string): Named[] {
    const own = this.#keyring.snapshot.get(keyId)
    if (own !== undefined) return [{ source: this.#writer, version: own }]
    return this.#foreign.flatMap((source) => {
      const version = source.keyring.snapshot.get(keyId)
      return version === undefined ? [] : [{ source, version }]
    })
  }

  // What a column holds may be anything, also a secret: only what looks like an id of ours is repeated, or asked of our keyring.
  #unknown(keyId: string, unknownKey: UnknownKey): KeyturnError {
    const ours = kidBytes(keyId) !== null
    if (unknownKey === 'ERR_KEY_NOT_LOADED' && (ours || this.#foreign.length > 0))
      return fail(unknownKey, this.#keyring.name, ours ? `key version ${keyId}` : 'the key of the id in its key id column')
    return fail('ERR_KEY_NOT_FOUND', this.#keyring.name, ours ? keyId : 'of the id in its key id column')
  }

  #openBy(sources: readonly Source[], stored: Stored, bound: readonly Uint8Array[]): Opened | null {
    for (const source of sources) {
      if (!source.codec.matches(stored)) continue
      const opened = source.open(stored, bound)
      if (opened !== null) return this.#opened(source, opened)
    }
    return null
  }

  #opened(source: Source, { plaintext, version, renamed }: SourceOpened): Opened {
    const written = source === this.#writer && !renamed
    const current = written && version.id === this.#keyring.snapshot.active.id
    const opened = { plaintext, version, codec: source.codec, keyring: source.keyring, current }
    return written && version.state === 'pending' ? { ...opened, newer: true } : opened
  }

  /** Whether `stored` is, or may be a damaged, value of one of the formats. */
  claims(stored: Stored): boolean {
    return isReserved(stored) || this.#all.some(({ codec }) => codec.claims(stored))
  }

  // A damaged ciphertext must never be taken for plain text and sealed a second time.
  #openPlain(stored: Stored): Opened | null {
    if (this.#keyless.length === 0 || this.claims(stored)) return null
    const codec = this.#keyless.find((each) => each.matches(stored))
    if (codec === undefined) return null
    const plaintext = codec.decrypt(stored, this.#keyring.snapshot.active, this.#writer.context(noBound))
    return { plaintext, current: false, codec, version: null, keyring: null }
  }

  /** Opens many at once; null where `open` must be asked. */
  openMany(
    stored: readonly Stored[],
    bound: readonly (readonly Uint8Array[])[],
    keyIds: readonly (string | null)[] | undefined,
  ): (Opened | null)[] {
    const opened = new Array<Opened | null>(stored.length).fill(null)
    const groups: Group[] = []
    let group: Group | undefined
    for (let index = 0; index < stored.length; index++) {
      const found = this.#likely(stored[index] as Stored, keyIds?.[index])
      if (found === null) continue
      const { source, version } = found
      // Most values are under the same key as the one before.
      if (group?.source !== source || group.version !== version)
        group = groups.find((each) => each.source === source && each.version === version)
      if (group === undefined) {
        group = { source, version, indexes: [], stored: [], contexts: [] }
        groups.push(group)
      }
      group.indexes.push(index)
      group.stored.push(stored[index] as Stored)
      group.contexts.push(source.context(bound[index] as readonly Uint8Array[]))
    }
    for (const { source, version, indexes, stored: values, contexts } of groups) {
      const plaintexts = source.codec.decryptMany?.(values, version, contexts) ?? []
      for (let at = 0; at < plaintexts.length; at++) {
        const plaintext = plaintexts[at] as Uint8Array | null
        if (plaintext !== null) opened[indexes[at] as number] = this.#opened(source, { plaintext, version, renamed: false })
      }
    }
    return opened
  }

  /** The format and the version that most likely open a value. */
  #likely(stored: Stored, keyId: string | null | undefined): Named | null {
    if (this.#keyed && keyId !== null) {
      const opens = ({ source: { codec }, version }: Named) =>
        version.material !== null && codec.decryptMany !== undefined && codec.matches(stored)
      return (keyId === undefined ? undefined : this.#beside(keyId).find(opens)) ?? null
    }
    const source = (this.#keyed ? this.#older : this.#all).find(({ codec }) => codec.matches(stored))
    const version = source?.codec.decryptMany === undefined ? null : source.likely(stored)
    return source === undefined || version === null ? null : { source, version }
  }

  /** The key id that a value names, or that stands beside it; null if there is none. */
  keyIdOf(stored: Stored, keyId: string | null | undefined): string | null {
    if (this.#keyed && typeof keyId === 'string') return keyId
    for (const { codec } of this.#matching(this.#all, stored)) {
      const id = codec.keyIdOf(stored)
      if (id !== null) return id
    }
    return null
  }

  /** What a value says of its format and key without being opened; null where it says nothing, or names a key that is not known here. */
  identify(stored: Stored, keyId: string | null | undefined): Identified | null {
    const { source, version } = this.#named(stored, keyId) ?? {}
    if (source === undefined || version === undefined) return null
    const current = source === this.#writer && version.id === this.#keyring.snapshot.active.id
    return { codec: source.codec, version, keyring: source.keyring, current }
  }

  #named(stored: Stored, keyId: string | null | undefined): Named | null {
    if (this.#keyed && typeof keyId === 'string') return this.#beside(keyId).find(({ source }) => source.codec.matches(stored)) ?? null
    const source = (this.#keyed ? this.#older : this.#all).find(({ codec }) => codec.matches(stored))
    const version = source?.codec.namesKey ? source.named(stored) : undefined
    return source === undefined || version === undefined ? null : { source, version }
  }

  /** Loads the keyrings again that may know by now which key opens a value; only by an id that could be one. */
  async reload(stored: Stored, keyId: string | null | undefined): Promise<void> {
    if (this.#keyed && typeof keyId === 'string') {
      if (kidBytes(keyId) !== null) await this.#keyring.reload(keyId)
      if (this.#keyring.snapshot.get(keyId) !== undefined) return
      for (const keyring of new Set(this.#foreign.map((source) => source.keyring))) await keyring.reload(keyId)
      return
    }
    for (const { keyring, codec } of this.#matching(this.#all, stored)) {
      const id = codec.keyIdOf(stored)
      if (id !== null) await keyring.reload(id)
    }
  }

  #matching(sources: readonly Source[], stored: Stored): Source[] {
    return sources.filter(({ codec }) => codec.matches(stored))
  }

  #refuse(sources: readonly Source[], stored: Stored, unknownKey: UnknownKey): never {
    const matching = this.#matching(sources, stored)
    const from = matching.flatMap(({ keyring }) => keyring.developmentFrom ?? [])
    if (from.length > 0) throw fail('ERR_DEVELOPMENT_KEY', this.#name, [...new Set(from)].join(', '))
    throw keyRefusal(matching, stored, unknownKey) ?? fail('ERR_DECRYPT')
  }
}

function sourceOf({ codec, keyring }: Reader, field: string, was: readonly string[]): Source[] {
  if (codec.keyless) return []
  if (keyring === null) throw fail('ERR_CONFIG', `field "${field}"`, `codec "${codec.name}" needs a keyring`)
  return [new Source(codec, keyring, field, was)]
}

// Key ids are unique over all keyrings: where one keyring knows the id, the others say nothing by not knowing it.
function keyRefusal(matching: readonly Source[], stored: Stored, unknownKey: UnknownKey): KeyturnError | null {
  const naming = matching.filter(({ codec }) => codec.keyIdOf(stored) !== null)
  const known = naming.find((source) => source.named(stored) !== undefined)
  const { keyring, codec } = known ?? naming[0] ?? {}
  const id = codec?.keyIdOf(stored)
  if (keyring === undefined || typeof id !== 'string' || known?.named(stored)?.material) return null
  if (known !== undefined) return fail('ERR_KEY_NOT_FOUND', keyring.name, id)
  return fail(unknownKey, keyring.name, unknownKey === 'ERR_KEY_NOT_LOADED' ? `key version ${id}` : id)
}
