import { isKeyturnError } from '../errors.ts'
import { nextRevision, openWrapping, type Unlocked, type WrappedKey, wrapKey } from './custody.ts'
import type { KeyMaterial } from './key-version.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import type { StoredKeyring, Wrapping } from './keyring-store.ts'

/** A change of wrappings: the next revision, and how many wrappings came or went. */
export interface Rewrapping {
  readonly stored: StoredKeyring
  readonly count: number
}

/** The wrappings that a key shall have; null where nothing changes. */
type Rule = (key: WrappedKey, material: KeyMaterial) => Promise<readonly Wrapping[] | null>

/** Applies a rule to the seal and to each key that is not destroyed. */
async function rewrapEach(unlocked: Unlocked, rule: Rule): Promise<Rewrapping | null> {
  const { stored, keyring, seal } = unlocked
  let count = 0
  const apply = async (key: WrappedKey, material: KeyMaterial | null): Promise<readonly Wrapping[]> => {
    const wrappings = material === null ? null : await rule(key, material)
    count += wrappings === null ? 0 : Math.max(1, Math.abs(wrappings.length - key.wrappings.length))
    return wrappings ?? key.wrappings
  }
  const sealWrappings = await apply({ ...stored.seal, number: 0 }, seal)
  const versions = []
  for (const version of stored.versions) {
    versions.push({ ...version, wrappings: await apply(version, keyring.get(version.id)?.material ?? null) })
  }
  if (count === 0) return null
  return { stored: { ...nextRevision(unlocked, versions), seal: { ...stored.seal, wrappings: sealWrappings } }, count }
}

/**
 * The next revision, in which every key is wrapped under this root, too. Wrappings that are there and open stay as they are; one that
 * does not open was planted or damaged, and is made anew. No value is touched: the cost is that of the keys. Null when nothing is
 * missing.
 */
export function addWrappings(unlocked: Unlocked, wrapper: KeyWrapper, now: Date): Promise<Rewrapping | null> {
  return rewrapEach(unlocked, async (key, material) => {
    const others = key.wrappings.filter(({ rootId }) => rootId !== wrapper.rootId)
    if (others.length < key.wrappings.length && (await opens(unlocked.stored.name, key, material, wrapper))) return null
    return [...others, await wrapKey(unlocked.stored.name, key, material, { wrapper, now })]
  })
}

/**
 * The next revision, without the wrappings under the root `drop` of those keys that another root, given here, has just opened.
 * Null when there is none.
 *
 * @param others - root keys, and the date up to which a wrapping must have been added: readers have had time to see it
 */
export function dropWrappings(
  unlocked: Unlocked,
  drop: string,
  others: { readonly wrappers: readonly KeyWrapper[]; readonly addedUntil: Date },
): Promise<Rewrapping | null> {
  const remaining = others.wrappers.filter(({ rootId }) => rootId !== drop)
  return rewrapEach(unlocked, async (key, material) => {
    if (!key.wrappings.some(({ rootId }) => rootId === drop)) return null
    const seen = key.wrappings.filter(({ addedAt }) => addedAt.getTime() <= others.addedUntil.getTime())
    for (const wrapper of remaining) {
      if (await opens(unlocked.stored.name, { ...key, wrappings: seen }, material, wrapper)) {
        return key.wrappings.filter(({ rootId }) => rootId !== drop)
      }
    }
    return null
  })
}

async function opens(keyring: string, key: WrappedKey, material: KeyMaterial, wrapper: KeyWrapper): Promise<boolean> {
  try {
    return (await openWrapping(keyring, key, wrapper)).equals(material)
  } catch (error) {
    if (isKeyturnError(error, 'ERR_DECRYPT')) return false
    throw error
  }
}

/** Counts the keys that are not destroyed, the seal among them, and those that a root opens without any other. */
export async function openedAlone(
  { name, seal, versions }: StoredKeyring,
  wrapper: KeyWrapper,
): Promise<{ readonly keys: number; readonly opened: number }> {
  const keys = [{ ...seal, number: 0 }, ...versions.filter(({ state }) => state !== 'destroyed')]
  let opened = 0
  for (const key of keys) {
    try {
      await openWrapping(name, key, wrapper)
      opened++
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_DECRYPT')) throw error
    }
  }
  return { keys: keys.length, opened }
}

/** When the last of those wrappings was added that will stand in for the ones under `drop`; the epoch where there is none. */
export function readyToDrop({ stored }: Unlocked, drop: string, wrappers: readonly KeyWrapper[]): Date {
  const roots = wrappers.map(({ rootId }) => rootId).filter((rootId) => rootId !== drop)
  const standIns = [stored.seal, ...stored.versions]
    .filter(({ wrappings }) => wrappings.some(({ rootId }) => rootId === drop))
    .map(({ wrappings }) => wrappings.filter(({ rootId }) => roots.includes(rootId)).map(({ addedAt }) => addedAt.getTime()))
  return new Date(Math.max(0, ...standIns.map((dates) => (dates.length === 0 ? 0 : Math.min(...dates)))))
}
