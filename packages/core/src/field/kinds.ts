/**
 * Tells, for the compiler alone, what a text or some bytes are. Optional, so that what comes from a database or a form, which nobody has
 * marked, can be given to either side; what is known to be one cannot be given where the other is wanted.
 */
declare const kind: unique symbol

/** What is to be encrypted. A value that `encrypt` gave is not: it would be encrypted twice. */
export type Plaintext = (string | Uint8Array) & { readonly [kind]?: 'decrypted' }
/** A text that `decrypt` gave. */
export type DecryptedText = string & { readonly [kind]?: 'decrypted' }
/** Bytes that `decryptBytes` gave. */
export type DecryptedBytes = Uint8Array & { readonly [kind]?: 'decrypted' }
/** A value as it is stored, which `encrypt` gave. What was decrypted is none, and cannot be stored in its place. */
export type EncryptedValue = (string | Uint8Array) & { readonly [kind]?: 'encrypted' }

/** What a driver can give for a bound column. */
export type BoundValue = string | number | bigint | boolean | Uint8Array

/**
 * The bound columns as an argument: all of them where the configuration says which they are (`B` is their names), none for a field that
 * is bound to nothing, and checked when it is called where the compiler does not know.
 */
export type BoundArgument<B extends string> = string extends B
  ? [bound?: Readonly<Record<string, unknown>>]
  : [B] extends [never]
    ? [bound?: Readonly<Record<string, never>>]
    : [bound: Readonly<Record<B, BoundValue>>]
