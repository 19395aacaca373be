import type { KeyState } from './key-state.ts'
import { KeyMaterial, KeyVersion } from './key-version.ts'
import { Keyring } from './keyring.ts'
import type { LiveKeyring } from './live-keyring.ts'

/** A key version from its bytes, with `createdAt` at the epoch. */
export function staticVersion(id: string, number: number, state: KeyState, bytes: Uint8Array): KeyVersion {
  const at = new Date(0)
  const facts = { id, number, state, compromised: false, createdAt: at, activatedAt: null, retiredAt: null, destroyedAt: null }
  return new KeyVersion(facts, new KeyMaterial(bytes))
}

/** A keyring of fixed versions: nothing is counted, and reloading finds the same. */
export function staticKeyring(name: string, versions: readonly KeyVersion[], developmentFrom?: readonly string[]): LiveKeyring {
  const snapshot = new Keyring(name, 0, versions)
  return {
    name,
    snapshot,
    ...(developmentFrom === undefined ? {} : { developmentFrom }),
    spend: () => snapshot.active,
    reserve: async () => {},
    reload: async () => snapshot,
    close: () => {},
  }
}
