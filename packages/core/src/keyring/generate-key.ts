import { randomBytes, randomInt } from 'node:crypto'
import { fail } from '../errors.ts'

/** What `generateKey` writes. */
export interface KeyFormat {
  readonly format: 'hex' | 'base64' | 'base64url' | 'chars'
  /** Random bytes, 16 to 1024; 32 unless given. Not for `chars`. */
  readonly bytes?: number
  /** Characters, 22 to 1024; 32 unless given. Only for `chars`. */
  readonly length?: number
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

function within(value: number, least: number, name: string): number {
  if (Number.isInteger(value) && value >= least && value <= 1024) return value
  throw fail('ERR_USAGE', `${name} of a key must be a whole number from ${least} to 1024`)
}

/**
 * The text of a fresh random key, for an environment variable or a secret store.
 *
 * `chars` writes letters and digits, each equally likely: 32 of them hold 190 bits. At least 128 bits are always random.
 *
 * @throws `ERR_USAGE` for a size out of bounds
 * @example
 * generateKey({ format: 'hex' }).length // 64
 */
export function generateKey({ format, bytes, length }: KeyFormat): string {
  if (format === 'chars') {
    if (bytes !== undefined) throw fail('ERR_USAGE', 'a key of characters has a length; it has no number of bytes')
    // randomInt draws again where the remainder would prefer some characters.
    return Array.from({ length: within(length ?? 32, 22, 'the length') }, () => alphabet[randomInt(alphabet.length)]).join('')
  }
  if (length !== undefined) throw fail('ERR_USAGE', 'only a key of characters has a length; give the number of bytes')
  return randomBytes(within(bytes ?? 32, 16, 'the bytes')).toString(format)
}
