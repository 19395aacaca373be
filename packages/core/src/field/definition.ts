import type { KeyVersion } from '../keyring/key-version.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import type { BoundColumn } from './bound.ts'
import type { Codec, Stored } from './codec.ts'
import type { Where } from './document.ts'
import type { FieldListener } from './event.ts'
import type { Location } from './location.ts'

/** A format that a field reads, and the keyring whose keys open it; null for `plain`. */
export interface Reader {
  readonly codec: Codec
  readonly keyring: LiveKeyring | null
}

/** What a field is. */
export interface FieldDefinition {
  /** A permanent name, `[A-Za-z0-9._-]{1,128}`: authenticated with every value, not a location. */
  readonly name: string
  readonly location: Location
  readonly keyring: LiveKeyring
  readonly writes: Codec
  /** What it reads beside what it writes, in the order in which they are asked. */
  readonly reads: readonly Reader[]
  readonly bind: readonly BoundColumn[]
  readonly empty: 'refuse' | 'keep'
  /** Rows are inserted before their value is encrypted, so that ids which the database assigns can be bound. */
  readonly insertedFirst?: boolean
  /** Which of the strings at the path are values: those whose siblings in the same object equal these. All unless given. */
  readonly where?: Where
  /**
   * Inside a document: `encrypted` takes only the strings at the path that a format of the field claims, or that begin as Keyturn's own;
   * all others are no values, left as they are and counted. Null: every string at the path is a value.
   */
  readonly only?: 'encrypted' | null
  /**
   * The column beside the value that holds its key id, for a format that names no key. NULL in it means an older form, which `reads`
   * opens.
   */
  readonly keyId?: string | null
  /** Stored texts that are legal though nothing opens them. They win over every codec: left as they are, and never opened. */
  readonly keep?: RegExp | null
  /** Key columns of the row whose values are shown as keyed hashes, being credentials themselves. */
  readonly sensitive?: readonly string[]
  /** Older names of the field: values sealed under them open, and are not current. */
  readonly was?: readonly string[]
  /** Told of each read of the application that needed an older key, format or name. */
  readonly onEvent?: FieldListener
}
/** A value that was opened, for a rotation. */
export interface Opened {
  readonly plaintext: Uint8Array
  /** Whether `encrypt` would write this codec, key and name today. */
  readonly current: boolean
  readonly codec: Codec
  /** Null for `plain`. */
  readonly version: KeyVersion | null
  /** Whose version it is; null for `plain`. */
  readonly keyring: LiveKeyring | null
  /** Present where it stands as `encrypt` will write it once its key, which is pending here, is active. */
  readonly newer?: boolean
}
/** What a value says of itself: its format and its key. */
export type Identified = Pick<Opened, 'codec' | 'version' | 'keyring' | 'current'>
/** A value and the id of its key, as they stand in two columns of a row. Null: the value is in an older form. */
export interface KeyedValue {
  readonly value: Stored
  readonly keyId: string | null
}
/** Values of bound columns by column name, as the driver gives them. */
export type BoundValues = Readonly<Record<string, unknown>>
