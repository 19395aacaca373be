import { randomBytes } from 'node:crypto'

/** What the keys of a keyring are: how one is made, and which bytes are one. */
export interface KeyKind {
  /** For messages: `data keys`. */
  readonly name: string
  /** The bytes of a new key; the caller erases them. */
  create(): Promise<Uint8Array>
  /** Whether these bytes are a key of this kind. Must not throw. */
  accepts(bytes: Uint8Array): boolean
  /** Whether messages are counted: AES-GCM with random nonces bears a number of them, a signature any. */
  readonly counted: boolean
}

/** Length of a data key and of a seal. */
export const DATA_KEY_BYTES = 32

/** Keys that encrypt values: 32 random bytes. */
export const dataKeys: KeyKind = {
  name: 'data keys',
  create: async () => randomBytes(DATA_KEY_BYTES),
  accepts: (bytes) => bytes.length === DATA_KEY_BYTES,
  counted: true,
}
