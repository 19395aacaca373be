import { randomBytes } from 'node:crypto'
import { type Unlocked, wrapKey } from './custody.ts'
import { KeyMaterial } from './key-version.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import type { StoredKeyring, StoredVersion } from './keyring-store.ts'
import { newKid } from './kid.ts'
import { sealOf } from './seal.ts'

/**
 * A keyring for another store, at its first revision, every key wrapped under this root alone. States and dates are as they are;
 * destroyed versions come without a key.
 *
 * The states are sealed with a new key: whoever holds the other root could otherwise seal states of the keyring that it came from.
 */
export async function exported({ stored, keyring }: Unlocked, wrapper: KeyWrapper, now: Date): Promise<StoredKeyring> {
  const { name } = stored
  const versions: StoredVersion[] = []
  for (const version of stored.versions) {
    const material = keyring.get(version.id)?.material ?? null
    versions.push({ ...version, wrappings: material === null ? [] : [await wrapKey(name, version, material, { wrapper, now })] })
  }
  const seal = { id: `seal-${newKid()}`, number: 0 }
  const bytes = randomBytes(32)
  const sealKey = new KeyMaterial(bytes)
  bytes.fill(0)
  return {
    name,
    revision: 1,
    seal: { id: seal.id, wrappings: [await wrapKey(name, seal, sealKey, { wrapper, now })] },
    versions,
    mac: sealOf({ name, revision: 1, versions }, sealKey.key),
  }
}
