import { fail } from '../errors.ts'

/**
 * What a key version may be used for.
 *
 *     pending ──▶ active ───▶ retiring ──▶ retired ───▶ destroyed
 *        │           ▲            │  ▲          │           ▲
 *        │           └────────────┘  └──────────┘           │
 *        └──────────────────────────────────────────────────┘
 *
 * - `pending`:   decrypts, does not encrypt yet. Without it a value could reach a reader that has never seen its key
 * - `active`:    encrypts and decrypts. Exactly one
 * - `retiring`:  decrypts. Without it values that are not rewritten yet could not be read
 * - `retired`:   decrypts. Without it a restored backup or a lagging replica would be lost
 * - `destroyed`: the material is erased
 *
 * Keys that sign tokens go the same way. A pending one verifies and is published, so that every verifier has it before the first token
 * comes; a retiring one verifies what it has signed; a retired one is refused: what it has signed has expired, or was ended.
 */
export type KeyState = 'pending' | 'active' | 'retiring' | 'retired' | 'destroyed'

const allowed: Record<KeyState, readonly KeyState[]> = {
  pending: ['active', 'destroyed'],
  active: ['retiring'],
  retiring: ['active', 'retired'],
  retired: ['retiring', 'destroyed'],
  destroyed: [],
}

/** What each state permits. */
export const permits: Record<KeyState, Permission> = {
  pending: { encrypt: false, decrypt: true, sign: false, verify: true },
  active: { encrypt: true, decrypt: true, sign: true, verify: true },
  retiring: { encrypt: false, decrypt: true, sign: false, verify: true },
  retired: { encrypt: false, decrypt: true, sign: false, verify: false },
  destroyed: { encrypt: false, decrypt: false, sign: false, verify: false },
}

/** What a key version may be used for: values under a data key, tokens under a signing key. */
interface Permission {
  readonly encrypt: boolean
  readonly decrypt: boolean
  readonly sign: boolean
  readonly verify: boolean
}

/** Whether a version may go from one state to another. */
export function mayBecome(from: KeyState, to: KeyState): boolean {
  return allowed[from].includes(to)
}

/** @throws `ERR_KEY_STATE` when a version may not go from one state to another */
export function assertTransition(keyring: string, version: string, from: KeyState, to: KeyState): void {
  if (!mayBecome(from, to)) throw fail('ERR_KEY_STATE', keyring, version, from, to)
}
