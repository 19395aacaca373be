import { kidBytes } from '../keyring/kid.ts'
import type { Stored } from './codec.ts'

/**
 * Whether `stored` begins as a value of this or a later version of Keyturn's own format: `kt`, digits and a dot in text, or
 * `6b 74 00` to `6b 74 0f` in bytes. Never plain text, and never the beginning of what another codec writes: an older Keyturn
 * that met a newer value would otherwise take it for something else.
 */
export function isReserved(stored: Stored): boolean {
  if (typeof stored === 'string') return /^kt[0-9]+\./.test(stored)
  return stored.length > 2 && stored[0] === 0x6b && stored[1] === 0x74 && (stored[2] as number) <= 0x0f
}

/** What values of Keyturn's own format begin with that are under a key (spec/kt1.md); null for an id that is none of ours. */
export function ownMark(keyId: string, kind: 'text' | 'bytes'): Stored | null {
  const kid = kidBytes(keyId)
  if (kid === null) return null
  return kind === 'text' ? `kt1.${keyId}.` : Uint8Array.of(0x6b, 0x74, 0x01, ...kid)
}
