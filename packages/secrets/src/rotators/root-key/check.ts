import type { KeyringConfig, Keyturn, RootConfig, SecretRef } from '@keyturn/core'
import type { Finding, World } from '../../secret/call.ts'
import type { Credential } from '../../secret/credential.ts'
import type { SecretConfig } from '../../secret/secret-config.ts'
import { referencesIn } from '../../secret/template.ts'

interface Given {
  readonly keyrings: readonly string[]
  readonly format: string
}

/** What the check looks with. */
interface Looking {
  /** The name of the secret. */
  readonly secret: string
  /** The root key in use, where a run has made it; null before the first one. */
  readonly current: Credential | null
  /** How many keys of the keyrings a root key opens alone. */
  opens(credential: Credential): Promise<{ readonly keys: number; readonly opened: number }>
}

const rootsOf = ({ root }: Extract<KeyringConfig, { root: unknown }>): readonly RootConfig[] =>
  Array.isArray(root) ? root : [root as RootConfig]

/** Where the text of a root key stands; null for a root that is none, in a service or from a passphrase. */
function refOf(root: RootConfig): SecretRef | null {
  if (!('wrapper' in root)) return root as SecretRef
  return root.wrapper === 'local' && root.key !== undefined ? (root.key as SecretRef) : null
}

/** The text of the root key that the configuration names first. @throws `ERR_ENV_MISSING` */
export async function rootInUse(world: World, { keyrings }: Given): Promise<string> {
  const config = world.application().keyturn.config.keyrings[keyrings[0] ?? '']
  const [first] = config !== undefined && 'root' in config ? rootsOf(config) : []
  const ref = first === undefined ? null : refOf(first)
  return ref === null ? '' : await world.read(ref)
}

const fault = (sentence: string): Finding => ({ severity: 'fault', sentence })
const warning = (sentence: string): Finding => ({ severity: 'warning', sentence })

/** Everything that would make a move of the root lose a key, or a process; and what a person should know. */
export async function checkRoot(world: World, given: Given, { secret, current, opens }: Looking): Promise<Finding[]> {
  const { keyturn, state } = world.application()
  const found = [...given.keyrings.flatMap((name) => faultsOf(keyturn, name, given)), ...inSecret(keyturn, secret, given)]
  if (found.some(({ severity }) => severity === 'fault')) return found
  const inUse = await idInUse(world, given, current)
  if (inUse === null) return found
  const wrapped = await keyringsUnder(state, String(inUse.id))
  const forgotten = wrapped.filter((name) => !given.keyrings.includes(name))
  for (const name of forgotten)
    found.push(fault(`keyring "${name}" is wrapped under the same root key. Name it here: it could not be opened any more`))
  const { keys, opened } = await opens(inUse)
  if (opened < keys)
    found.push(fault(`the root key in use opens ${opened} of ${keys} keys. Bring that in order first: keyturn rewrap ${given.keyrings[0]}`))
  return found
}

/** The root key in use, as the state knows it, or as the configuration names it. */
async function idInUse(world: World, given: Given, current: Credential | null): Promise<Credential | null> {
  if (current !== null) return current
  const key = await rootInUse(world, given)
  const { default: local } = await import('@keyturn/core/key-wrappers/local')
  const { rootId } = local({ key, label: 'the root key in use' })
  return { id: rootId, parts: { key, rootId } }
}

/** Keyrings in the state, also those of other configurations. */
async function keyringsUnder(state: ReturnType<World['application']>['state'], rootId: string): Promise<string[]> {
  const { rows } = await state.query(
    `SELECT DISTINCT v.keyring FROM ${state.schema}.key_wrapping w JOIN ${state.schema}.key_version v ON v.id = w.id
     WHERE w.root_id = $1::text ORDER BY v.keyring`,
    [rootId],
  )
  return rows.map(({ keyring }) => String(keyring))
}

/** What is wrong with one keyring. */
function faultsOf(keyturn: Keyturn, name: string, { keyrings, format }: Given): Finding[] {
  const config = keyturn.config.keyrings[name]
  if (config === undefined) return [fault(`there is no keyring "${name}" in the configuration`)]
  if (!('root' in config)) return [fault(`keyring "${name}" has no root key: its keys come from elsewhere`)]
  if (config.file !== undefined)
    return [fault(`keyring "${name}" stands in a file, which is written once. Export it again under the new root key, when that is in use`)]
  const [first, ...others] = rootsOf(config)
  const roots = [first, ...others].filter((root) => root !== undefined)
  const outside = roots.find((root) => refOf(root) === null)
  if (outside !== undefined)
    return [
      fault(
        (outside as { wrapper?: string }).wrapper === 'local'
          ? `keyring "${name}" is wrapped under a passphrase. Move it by hand: name a new root first and the passphrase second, then: keyturn rewrap ${name}`
          : `keyring "${name}" is wrapped by a service, which changes the material of its key by itself (AWS KMS: turn on automatic rotation). To move to another key, name that first and the old one second, then: keyturn rewrap ${name}`,
      ),
    ]
  const found: Finding[] = []
  const encoding = roots.map((root) => (root as { encoding?: unknown }).encoding).find((each) => each !== undefined && each !== format)
  if (encoding !== undefined) found.push(fault(`keyring "${name}" has root keys in ${String(encoding)}. Set "format" to it`))
  // What is unset is passed over; a file that is not there stops the start.
  if (others.some((root) => !('env' in (refOf(root) ?? {}))))
    found.push(fault(`further roots of keyring "${name}" must be variables: they are unset before and after`))
  const nameOf = (at: RootConfig | undefined) => JSON.stringify(at === undefined ? null : refOf(at))
  const leader = keyturn.config.keyrings[keyrings[0] ?? '']
  if (leader !== undefined && 'root' in leader && nameOf(rootsOf(leader)[0]) !== nameOf(first))
    found.push(fault(`keyrings "${keyrings[0]}" and "${name}" have root keys of their own. Make a secret of each`))
  return found
}

/** What the secret lacks, and what it should be known for. */
function inSecret(keyturn: Keyturn, secret: string, { keyrings }: Given): Finding[] {
  const config = keyturn.config.secrets?.[secret] as SecretConfig | undefined
  const references = (config?.stores ?? []).flatMap(({ values }) => Object.values(values).flatMap(referencesIn))
  const found: Finding[] = []
  if (!references.some(({ slot, part }) => slot === 'current' && part === 'key'))
    found.push(fault('no store has {key} in its values: the new root key would stand nowhere, and everything under it would be lost'))
  if ((config?.targets ?? []).length === 0)
    found.push(warning('no target is named: nobody restarts the processes, so that they have the new root key when they start next'))
  const sealing = keyturn.config.fields['keyturn.sealed']?.keyring
  if (sealing !== undefined && keyrings.includes(sealing))
    found.push(
      warning(
        `credentials are sealed under keyring "${sealing}", which this root key opens, and the new one is among them: who has the old root key and reads the database finds it. Seal them under a keyring with a root key of its own`,
      ),
    )
  found.push(warning(`it does not mend a leak: after one, rotate keyrings ${keyrings.join(', ')} as well, when it is over`))
  return found
}
