import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fail } from '../errors.ts'
import type { FieldListener } from '../field/event.ts'
import type { KeyWrapper } from '../keyring/key-wrapper.ts'
import type { KeyringStore } from '../keyring/keyring-store.ts'
import { kidText } from '../keyring/kid.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { staticKeyring, staticVersion } from '../keyring/static-keyring.ts'
import { openStoredKeyring, type OpenedKeyring as StoredLiveKeyring } from '../keyring/stored-keyring.ts'
import { environmentKeyring, type Surroundings } from '../keyring-stores/environment.ts'
import fileKeyrings from '../keyring-stores/file.ts'
import type { VersionSource } from '../rotation/readers.ts'
import { tokenKeys } from '../signing/token-key.ts'
import type { Sql } from '../state/sql.ts'
import type {
  AlsoUsedFor,
  Config,
  EnvironmentKeyringConfig,
  KeyringConfig,
  ReadConfig,
  RootConfig,
  SecretRef,
  StoredKeyringConfig,
} from './config.ts'
import { loadDriver } from './drivers.ts'
import { durationMs } from './duration.ts'
import { firstKey } from './first-key.ts'
import { openTableKeyring } from './open-table-keyring.ts'
import { variableOf } from './variable.ts'

/** A keyring as a configuration opens it. */
export interface OpenedKeyring {
  readonly live: LiveKeyring
  /** Null for keys from the environment, and for a keyring that is not stored yet. */
  readonly stored: StoredLiveKeyring | null
  /** Where it is kept; null for keys from the environment. */
  readonly store: KeyringStore | null
  /** How a rotation makes and activates versions; null where `stored` is. */
  readonly versions: VersionSource | null
  readonly kind: 'stored' | 'environment' | 'table'
  /** Where keys from the environment come from, by version id. */
  readonly labels?: ReadonlyMap<string, string>
  /** What else hangs on its keys, and what becomes of each when they change: for plans. */
  readonly alsoUsedFor: AlsoUsedFor
  /** How long after its retirement a version stays needed for backups, in milliseconds; null where the configuration does not say. */
  readonly horizonMs: number | null
}

type MadeKeyring = Omit<OpenedKeyring, 'alsoUsedFor' | 'horizonMs'>

/** What keyrings are opened with. */
export interface KeyringWorld extends Surroundings {
  readonly store: KeyringStore
  /** The application's database, for keys that stand in a table of its own. */
  readonly sql: Sql
  readonly refreshMs: number
  readonly actor: string
  /** Nothing is written: a keyring that is not stored yet is represented by one in memory. */
  readonly readOnly: boolean
  /** Told of reads that needed an older key or format. */
  readonly onEvent?: FieldListener
}

/** Opens every keyring of a configuration. @throws every refusal of their keys */
export async function openKeyrings(config: Config, world: KeyringWorld): Promise<Map<string, OpenedKeyring>> {
  const opened = new Map<string, OpenedKeyring>()
  try {
    for (const [name, keyring] of Object.entries(config.keyrings)) {
      const made = await openKeyring(name, keyring, world)
      const horizonMs = horizonOf(keyring)
      opened.set(name, { ...made, alsoUsedFor: keyring.alsoUsedFor ?? {}, horizonMs })
    }
    return opened
  } catch (error) {
    for (const { live } of opened.values()) live.close()
    throw error
  }
}

/** No backup holds what is under a key that signs. */
function horizonOf(keyring: KeyringConfig): number | null {
  if (!('root' in keyring)) return null
  return keyring.horizon === undefined ? (keyring.sign === undefined ? null : 0) : durationMs(keyring.horizon)
}

async function openKeyring(name: string, keyring: KeyringConfig, world: KeyringWorld): Promise<MadeKeyring> {
  if ('root' in keyring) return await openStored(name, keyring, world)
  if ('primary' in keyring) return openEnvironment(name, keyring, world)
  return { live: await openTableKeyring(name, keyring, world), stored: null, store: null, versions: null, kind: 'table' }
}

function openEnvironment(name: string, config: EnvironmentKeyringConfig, world: KeyringWorld): MadeKeyring {
  const live = environmentKeyring(name, config, world)
  return { live, stored: null, store: null, versions: null, kind: 'environment', labels: live.labels }
}

async function openStored(name: string, config: StoredKeyringConfig, world: KeyringWorld): Promise<MadeKeyring> {
  const named = Array.isArray(config.root) ? (config.root as RootConfig[]) : [config.root as RootConfig]
  // The first must be there; further ones are on their way in or out.
  const roots = named.filter((root, n) => n === 0 || !isRootUnset(root, world))
  const wrappers = await Promise.all(roots.map((root) => openRoot(name, root, world)))
  const { refreshMs, actor, readOnly } = world
  const store = config.file === undefined ? world.store : fileKeyrings(config.file)
  // A file is opened for what is in it: a keyring made anew in the wrong file would open none of the values.
  if (config.file !== undefined && !(await isStored(store, name))) throw fail('ERR_KEYRING_NOT_FOUND', name)
  if (readOnly && !(await isStored(store, name))) return { live: unstored(name), stored: null, store, versions: null, kind: 'stored' }
  const [first, ...others] = wrappers
  if (first === undefined) throw fail('ERR_CONFIG', `keyrings.${name}.root`, 'it needs at least one root key')
  const key = firstKey(name, config, world)
  const stored = await openStoredKeyring({
    store,
    name,
    wrappers: [first, ...others],
    refreshMs,
    actor,
    readOnly,
    ...(config.sign === undefined ? {} : { kind: tokenKeys(config.sign) }),
    ...(key === null ? {} : { first: key.read }),
  })
  try {
    key?.assertIn(stored)
  } catch (error) {
    stored.close()
    throw error
  }
  return { live: stored, stored, store, versions: versionsOf(stored, store, refreshMs), kind: 'stored' }
}

function versionsOf(stored: StoredLiveKeyring, store: KeyringStore, refreshMs: number): VersionSource {
  return {
    addPending: async () => {
      const left = (await stored.reload()).versions.find(({ state, compromised }) => state === 'pending' && !compromised)
      const id = left?.id ?? (await stored.addPendingVersion())
      const version = stored.snapshot.get(id)
      if (version === undefined) throw fail('ERR_KEY_NOT_FOUND', stored.name, id)
      return version
    },
    activate: (id) => stored.activateVersion(id),
    now: () => store.now(),
    refreshMs,
  }
}

/** A database without our tables has no keyrings. */
async function isStored(store: KeyringStore, name: string): Promise<boolean> {
  return (await store.load(name)) !== null
}

/** Stands for a keyring that the first rotation will make. Its key is nowhere else: nothing may be written under it. */
function unstored(name: string): LiveKeyring {
  const refused = () => fail('ERR_KEYRING_NOT_FOUND', name)
  return {
    ...staticKeyring(name, [staticVersion(kidText(randomBytes(5)), 1, 'active', randomBytes(32))]),
    spend: () => {
      throw refused()
    },
    reserve: () => Promise.reject(refused()),
  }
}

async function openRoot(keyring: string, root: RootConfig, { env }: KeyringWorld): Promise<KeyWrapper> {
  if ('env' in root || 'file' in root) {
    const factory = await loadDriver<KeyWrapper>('key-wrappers', 'local')
    const ref = root as SecretRef
    return factory({ key: secretText(ref, env, `the root key of keyring "${keyring}"`), label: labelOf(ref) } as never)
  }
  const { wrapper, ...options } = root as { readonly wrapper: string; readonly [option: string]: unknown }
  const factory = await loadDriver<KeyWrapper>('key-wrappers', wrapper)
  for (const secret of ['key', 'passphrase']) {
    if (options[secret] === undefined || isRef(options[secret])) continue
    throw fail(
      'ERR_CONFIG',
      `keyrings.${keyring}.root.${secret}`,
      'a configuration holds no secret. Name where it is read from: env(NAME) or { file }',
    )
  }
  const entries = Object.entries(options).map(([name, value]) => [
    name,
    isRef(value) ? secretText(value, env, `keyring "${keyring}"`) : value,
  ])
  return factory(Object.fromEntries(entries) as never)
}

const isRef = (value: unknown): value is SecretRef => typeof value === 'object' && value !== null && ('env' in value || 'file' in value)
const unset = (ref: SecretRef, { env }: Pick<Surroundings, 'env'>): boolean => 'env' in ref && variableOf(env, ref.env) === undefined
function isRootUnset(root: RootConfig, world: Pick<Surroundings, 'env'>): boolean {
  const ref = 'wrapper' in root ? (root as { readonly key?: unknown }).key : root
  return isRef(ref) && unset(ref, world)
}

export const labelOf = (ref: SecretRef): string => ('env' in ref ? ref.env : ref.file)

/** The text of a secret; one line break at the end of a file is not part of it. @throws `ERR_ENV_MISSING` */
export function secretText(ref: SecretRef, env: Surroundings['env'], purpose: string): string {
  if ('env' in ref) {
    const text = variableOf(env, ref.env)
    if (text === undefined) throw fail('ERR_ENV_MISSING', ref.env, purpose)
    return text
  }
  try {
    return readFileSync(ref.file, 'utf8').replace(/\r?\n$/, '')
  } catch {
    throw fail('ERR_CONFIG', ref.file, `the file with ${purpose} cannot be read`)
  }
}

/** The keyring of a format that a field still reads: one of the configuration's, or keys of its own. */
export function readKeyring(
  field: string,
  read: ReadConfig,
  keyrings: ReadonlyMap<string, OpenedKeyring>,
  world: KeyringWorld,
): LiveKeyring | null {
  if (read.keyring !== undefined) return keyrings.get(read.keyring)?.live ?? null
  if (read.key === undefined) return null
  const config: EnvironmentKeyringConfig = {
    primary: read.key,
    ...(read.previous === undefined ? {} : { previous: read.previous }),
    ...(read.keyRule === undefined ? {} : { keyRule: read.keyRule }),
  }
  if (unset(read.key, world)) throw fail('ERR_ENV_MISSING', labelOf(read.key), `the values of field "${field}" so far`)
  // These keys only decrypt: that one of them is all zeros is a finding of the past, not a danger of the start.
  return environmentKeyring(`${field}.reads`, config, { ...world, production: false })
}
