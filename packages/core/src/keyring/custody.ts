import { fail, isKeyturnError } from '../errors.ts'
import { isEnvelope, openEnvelope, sealEnvelope } from './envelope.ts'
import { DATA_KEY_BYTES, dataKeys, type KeyKind } from './key-kind.ts'
import { assertTransition, type KeyState } from './key-state.ts'
import { KeyMaterial, KeyVersion } from './key-version.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import { Keyring } from './keyring.ts'
import type { StoredKeyring, StoredVersion, Wrapping } from './keyring-store.ts'
import { newKid } from './kid.ts'
import { isSealed, sealOf, wrappingData } from './seal.ts'

/** A stored keyring with its keys, as long as a process holds it. Prints no bytes of a key. */
export interface Unlocked {
  readonly stored: StoredKeyring
  readonly keyring: Keyring
  /** The key that authenticates the states. */
  readonly seal: KeyMaterial
}

/** A key of a keyring with its wrappings: a version, or the seal with number 0. */
export interface WrappedKey {
  readonly id: string
  readonly number: number
  readonly wrappings: readonly Wrapping[]
}

/**
 * Opens a stored keyring with whichever of the root keys has wrapped its keys, and checks that its states are what a holder of the
 * seal wrote.
 *
 * What this proves: nobody without a root key has changed name, revision, or any fact of a version. What it does not prove: that
 * this revision is the latest. Somebody who can write the database can put back all rows of an older revision; a process that
 * has seen a newer one notices, one that starts afterwards does not.
 *
 * @param known - the same keyring opened before: keys of the same id are taken from it, so that what is derived from them stays cached
 * @param kind - what its keys are; data keys unless given
 * @throws `ERR_CONFIG` when its keys are of another kind
 * @throws `ERR_ROOT_KEY` when none of the root keys opens it
 * @throws `ERR_KEYRING_FORGED` when its states are not authentic
 */
export async function unlock(
  stored: StoredKeyring,
  wrappers: readonly KeyWrapper[],
  known?: Unlocked,
  kind: KeyKind = dataKeys,
): Promise<Unlocked> {
  const seal = known?.stored.seal.id === stored.seal.id ? known.seal : await openKey(stored.name, { ...stored.seal, number: 0 }, wrappers)
  if (!isSealed(stored, stored.mac, seal.key)) throw fail('ERR_KEYRING_FORGED', stored.name)
  const versions: KeyVersion[] = []
  for (const version of stored.versions) {
    const open = () => known?.keyring.get(version.id)?.material ?? openOfKind(kind, stored.name, version, wrappers)
    versions.push(new KeyVersion(version, version.state === 'destroyed' ? null : await open()))
  }
  return { stored, keyring: new Keyring(stored.name, stored.revision, versions), seal }
}

async function openOfKind(kind: KeyKind, keyring: string, key: WrappedKey, wrappers: readonly KeyWrapper[]): Promise<KeyMaterial> {
  const material = await openKey(keyring, key, wrappers)
  const bytes = material.exportPlaintextKey()
  try {
    if (kind.accepts(bytes)) return material
    throw fail('ERR_CONFIG', `keyrings.${keyring}`, `the stored keyring holds other keys than ${kind.name}. What it is for cannot change`)
  } finally {
    bytes.fill(0)
  }
}

/** Opens a key under one root. @throws `ERR_DECRYPT` when the wrapping is not this key's under this root */
export async function openWrapping(keyring: string, key: WrappedKey, wrapper: KeyWrapper): Promise<KeyMaterial> {
  const wrapping = key.wrappings.find(({ rootId }) => rootId === wrapper.rootId)
  if (wrapping === undefined) throw fail('ERR_DECRYPT')
  const data = wrappingData({ rootId: wrapper.rootId, keyring, id: key.id, number: key.number })
  const enclosed = isEnvelope(wrapping.wrapped)
  const bytes = await (enclosed ? openEnvelope(wrapping.wrapped, data, wrapper) : wrapper.unwrap(wrapping.wrapped, data))
  try {
    // A key has one form: 32 bytes stand alone, others in an envelope.
    if (enclosed === (bytes.length === DATA_KEY_BYTES)) throw fail('ERR_DECRYPT')
    return new KeyMaterial(bytes)
  } finally {
    bytes.fill(0)
  }
}

async function openKey(keyring: string, key: WrappedKey, wrappers: readonly KeyWrapper[]): Promise<KeyMaterial> {
  const roots = key.wrappings.map(({ rootId }) => rootId)
  let unreachable: unknown
  for (const wrapper of wrappers.filter(({ rootId }) => roots.includes(rootId))) {
    try {
      return await openWrapping(keyring, key, wrapper)
    } catch (error) {
      // Another root may do; what could not be reached says more than what did not open.
      if (!isKeyturnError(error, 'ERR_DECRYPT')) unreachable = error
    }
  }
  if (unreachable !== undefined) throw unreachable
  const list = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(', '))
  throw fail('ERR_ROOT_KEY', list(wrappers.map(({ rootId }) => rootId)), keyring, list(roots))
}

/** Wraps a key under one root. */
export async function wrapKey(keyring: string, key: Omit<WrappedKey, 'wrappings'>, material: KeyMaterial, by: Wrapper): Promise<Wrapping> {
  const { wrapper, now } = by
  const bytes = material.exportPlaintextKey()
  try {
    const data = wrappingData({ rootId: wrapper.rootId, keyring, id: key.id, number: key.number })
    const wrapped = await (bytes.length === DATA_KEY_BYTES ? wrapper.wrap(bytes, data) : sealEnvelope(bytes, data, wrapper))
    return { rootId: wrapper.rootId, wrapped, addedAt: now }
  } finally {
    bytes.fill(0)
  }
}
/** A root key, and the moment that is noted beside what it wraps. */
export interface Wrapper {
  readonly wrapper: KeyWrapper
  readonly now: Date
}

async function newMaterial(kind: KeyKind): Promise<KeyMaterial> {
  const bytes = await kind.create()
  const material = new KeyMaterial(bytes)
  bytes.fill(0)
  return material
}

/** A keyring with one version, active, wrapped under one root key: revision 1, to be saved. */
export async function createKeyring(name: string, wrapper: KeyWrapper, now: Date, kind: KeyKind = dataKeys): Promise<StoredKeyring> {
  const seal = { id: `seal-${newKid()}`, number: 0 }
  const version = { id: newKid(), number: 1 }
  const [sealKey, key] = [await newMaterial(dataKeys), await newMaterial(kind)]
  const dates = { createdAt: now, activatedAt: now, retiredAt: null, destroyedAt: null }
  const versions: StoredVersion[] = [
    { ...version, state: 'active', compromised: false, ...dates, wrappings: [await wrapKey(name, version, key, { wrapper, now })] },
  ]
  const mac = sealOf({ name, revision: 1, versions }, sealKey.key)
  return { name, revision: 1, seal: { id: seal.id, wrappings: [await wrapKey(name, seal, sealKey, { wrapper, now })] }, versions, mac }
}

/** The next revision, with these versions. */
export function nextRevision({ stored, seal }: Unlocked, versions: readonly StoredVersion[]): StoredKeyring {
  const revision = stored.revision + 1
  return { ...stored, revision, versions, mac: sealOf({ name: stored.name, revision, versions }, seal.key) }
}

const absentRoot = (keyring: string, rootId: string): string =>
  `keyring "${keyring}" is wrapped under the root key ${rootId} too, which is not given here: processes that have only that one could not ` +
  `open a new key. Give it after the first one, or end its use with "keyturn rewrap ${keyring} --drop ${rootId}"`

/**
 * The next revision, with a new version in state pending.
 *
 * Its key is wrapped under the first root key and under every other one that wraps the seal: a process that still has the older root
 * only can open it, too.
 *
 * @throws `ERR_USAGE` when a root that wraps the seal is not given: whoever has that one only could not open the new key
 */
export async function addPending(
  unlocked: Unlocked,
  wrappers: readonly KeyWrapper[],
  now: Date,
  kind: KeyKind = dataKeys,
): Promise<{ readonly stored: StoredKeyring; readonly id: string }> {
  const { name, versions, seal } = unlocked.stored
  const key = { id: newKid(), number: Math.max(0, ...versions.map(({ number }) => number)) + 1 }
  const absent = seal.wrappings.find(({ rootId }) => !wrappers.some((wrapper) => wrapper.rootId === rootId))
  if (absent !== undefined) throw fail('ERR_USAGE', absentRoot(name, absent.rootId))
  const sealed = (wrapper: KeyWrapper) => seal.wrappings.some(({ rootId }) => rootId === wrapper.rootId)
  const material = await newMaterial(kind)
  const wrappings: Wrapping[] = []
  for (const wrapper of wrappers.filter((wrapper, n) => n === 0 || sealed(wrapper))) {
    wrappings.push(await wrapKey(name, key, material, { wrapper, now }))
  }
  const dates = { createdAt: now, activatedAt: null, retiredAt: null, destroyedAt: null }
  const pending: StoredVersion = { ...key, state: 'pending', compromised: false, ...dates, wrappings }
  return { stored: nextRevision(unlocked, [...versions, pending]), id: key.id }
}

function find({ stored }: Unlocked, id: string): StoredVersion {
  const version = stored.versions.find((version) => version.id === id)
  if (version === undefined) throw fail('ERR_KEY_NOT_FOUND', stored.name, id)
  return version
}

/**
 * The next revision, in which this version is active and the one before is retiring.
 *
 * @throws `ERR_KEY_STATE` unless it is pending or retiring, and not compromised
 */
export function activate(unlocked: Unlocked, id: string, now: Date): StoredKeyring {
  const { name, versions } = unlocked.stored
  const { state, compromised } = find(unlocked, id)
  assertTransition(name, id, state, 'active')
  if (compromised) throw fail('ERR_KEY_STATE', name, id, 'compromised', 'active')
  return nextRevision(
    unlocked,
    versions.map((version): StoredVersion => {
      if (version.id === id) return { ...version, state: 'active', activatedAt: now }
      return version.state === 'active' ? { ...version, state: 'retiring' } : version
    }),
  )
}

/**
 * The next revision, in which this version has another state. A destroyed one loses its wrappings and so its key.
 *
 * @throws `ERR_KEY_STATE` where the table of states has no such step; the active version changes by `activate` of its successor only
 */
export function changeState(unlocked: Unlocked, id: string, to: Exclude<KeyState, 'pending' | 'active'>, now: Date): StoredKeyring {
  const { name, versions } = unlocked.stored
  const { state } = find(unlocked, id)
  assertTransition(name, id, state, to)
  if (state === 'active') throw fail('ERR_KEY_STATE', name, id, 'the only active one', to)
  const change: Record<typeof to, Partial<StoredVersion>> = {
    retiring: { retiredAt: null },
    retired: { retiredAt: now },
    destroyed: { destroyedAt: now, wrappings: [] },
  }
  return nextRevision(
    unlocked,
    versions.map((version) => (version.id === id ? { ...version, ...change[to], state: to } : version)),
  )
}

/** The next revision, in which this version is marked as compromised, whatever its state. The mark is never taken away. */
export function markCompromised(unlocked: Unlocked, id: string): StoredKeyring {
  find(unlocked, id)
  return nextRevision(
    unlocked,
    unlocked.stored.versions.map((version) => (version.id === id ? { ...version, compromised: true } : version)),
  )
}

/** The next revision, in which this version is retired and marked as compromised. @throws `ERR_KEY_STATE` where it cannot be retired */
export function markRetired(unlocked: Unlocked, id: string, now: Date): StoredKeyring {
  const { versions } = changeState(unlocked, id, 'retired', now)
  return nextRevision(
    unlocked,
    versions.map((version) => (version.id === id ? { ...version, compromised: true } : version)),
  )
}
