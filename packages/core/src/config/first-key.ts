import { fail } from '../errors.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { readSecret, type Surroundings } from '../keyring-stores/environment.ts'
import type { Algorithm } from '../signing/algorithm.ts'
import { importedKey } from '../signing/imported-key.ts'
import { storedTokenKey } from '../signing/token-key.ts'
import type { StoredKeyringConfig } from './config.ts'

/** The key that an application has signed with before it had a keyring. */
export interface FirstKey {
  /** The bytes of version 1; the caller erases them. @throws `ERR_ENV_MISSING`, `ERR_KEY_FORMAT` */
  read(): Buffer
  /** Refuses a keyring that was made with another key: the tokens of this one would be refused. @throws `ERR_CONFIG` */
  assertIn(keyring: LiveKeyring): void
}

/** The first key that a configuration names; null where it names none. */
export function firstKey(name: string, { sign, first }: StoredKeyringConfig, { env }: Pick<Surroundings, 'env'>): FirstKey | null {
  if (sign === undefined || first === undefined) return null
  const { key, keyRule } = first
  const label = 'env' in key ? key.env : key.file
  const bytesOf = (text: string, algorithm: Algorithm) =>
    importedKey(text, algorithm, { label, ...(keyRule === undefined ? {} : { rule: keyRule }) })
  return {
    read: () => {
      const text = readSecret(key, env)
      if (text === null) throw fail('ERR_ENV_MISSING', label, `the first key of keyring "${name}"`)
      return bytesOf(text, sign)
    },
    assertIn: ({ snapshot }) => {
      const text = readSecret(key, env)
      const material = snapshot.versions.find(({ number }) => number === 1)?.material ?? null
      if (text === null || material === null) return
      // The algorithm of new keys may be another one by now.
      const [given, stored] = [bytesOf(text, storedTokenKey(material).algorithm), material.exportPlaintextKey()]
      const same = given.equals(stored)
      for (const bytes of [given, stored]) bytes.fill(0)
      if (!same)
        throw fail(
          'ERR_CONFIG',
          `keyrings.${name}.first.key`,
          'the keyring is there already, with another first key. Give this one a name of its own',
        )
    },
  }
}
