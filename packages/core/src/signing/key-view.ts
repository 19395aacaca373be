import { permits } from '../keyring/key-state.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import type { Keyring } from '../keyring/keyring.ts'
import { isSymmetric } from './algorithm.ts'
import type { SigningParts } from './signing-keyring.ts'
import type { NamedKey } from './token.ts'
import { type TokenTimes, tokenTimes } from './token-times.ts'

/** What a snapshot of a signing keyring means for tokens. */
export interface KeyView {
  readonly snapshot: Keyring
  /** The keys that verify. */
  readonly usable: readonly NamedKey[]
  /** Those of them that may have signed tokens which name none of our keys. */
  readonly nameless: readonly NamedKey[]
  readonly times: TokenTimes
}

/** Whether tokens under a version are accepted. One that others have is refused whatever its state. */
export function verifies({ state, compromised, material }: KeyVersion): boolean {
  return permits[state].verify && !compromised && material !== null
}

/** A version under the name that its tokens have: its id, or what the application called its first key before. */
export function namedKey({ keyOf, first }: SigningParts, version: KeyVersion): NamedKey {
  return { id: version.id, kid: (isFirst(version) ? first?.kid : null) ?? version.id, key: keyOf(version) }
}

const isFirst = ({ number }: KeyVersion): boolean => number === 1

/** The version that an application called by a name of its own; undefined for every other name. */
export function firstNamed({ first }: SigningParts, snapshot: Keyring, kid: string): KeyVersion | undefined {
  return first?.kid === kid ? snapshot.versions.find(isFirst) : undefined
}

/** What follows from a snapshot. */
export function viewOf(parts: SigningParts, snapshot: Keyring): KeyView {
  const { algorithm, tokens, refreshMs, stored, first } = parts
  const versions = snapshot.versions.filter(verifies)
  const usable = versions.map((version) => namedKey(parts, version))
  // Keys of another algorithm may still be about, and what was published is in caches.
  const published = [algorithm, ...usable.map(({ key }) => key.algorithm)].find((each) => !isSymmetric(each))
  // What an application signed before it had keyrings has no `kid`, or one that it chose.
  const nameless = stored === null ? usable : first === undefined ? [] : versions.filter(isFirst).map((version) => namedKey(parts, version))
  return { snapshot, usable, nameless, times: tokenTimes(tokens, published ?? algorithm, refreshMs) }
}
