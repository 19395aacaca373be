import { hkdfSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { EnvironmentKeyringConfig, KeyRule, SecretRef } from '../config/config.ts'
import { variableOf } from '../config/variable.ts'
import { fail } from '../errors.ts'
import { keyFromText } from '../keyring/key-rule.ts'
import { KeyMaterial, KeyVersion } from '../keyring/key-version.ts'
import { Keyring } from '../keyring/keyring.ts'
import { KID_BYTES, kidText } from '../keyring/kid.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { secretFromText } from '../signing/secret-text.ts'

const MAX_MESSAGES = 2 ** 32

/** Where a process runs. */
export interface Surroundings {
  readonly env: { readonly [name: string]: string | undefined }
  /** In production a missing key, a key of zeros and a development key stop the start. */
  readonly production: boolean
  /** Told once for each warning, a sentence without secrets. */
  readonly warn: (sentence: string) => void
}

/** A keyring whose keys come from the environment. */
export interface EnvironmentKeyring extends LiveKeyring {
  /** Where each key comes from, by version id: the name of its variable or file. For messages. */
  readonly labels: ReadonlyMap<string, string>
  readonly knownToAll: ReadonlySet<string>
}

/** A key and where it comes from. */
interface NamedKey {
  readonly material: KeyMaterial
  readonly label: string
}

/**
 * A keyring of the keys that variables or files hold: one that encrypts, others that only decrypt.
 *
 * - An empty variable counts as unset: that is how compose files and charts write "none".
 * - What is set and no key by the rule stops the start, whichever of the keys it is.
 * - In production the start stops without a key, and with one of zeros that would encrypt. Zeros among the previous keys are legal:
 *   older deployments have values under them.
 * - While the primary is not set, the fallback encrypts, with a warning. Once it is set and differs, the fallback decrypts, last. Where
 *   both are the same key, there is one version and the warning stays.
 * - Outside production, when neither is set, a fixed key is derived from the secrets of `development`, with a warning.
 * - A variable of `previous` may hold several keys: separated by commas where the rule is an encoding; as a JSON array of strings
 *   where any text is a key.
 *
 * A version's id is eight characters derived from its key by HKDF-SHA256 (empty salt, info `keyturn/environment-kid`): the same in
 * every process, whatever the variable is called. Messages are counted in this process only: nothing is kept, so that the limit of
 * 2^32 cannot be enforced across processes and restarts.
 *
 * A keyring that signs has secrets of any length from that of the hash on, and `utf8` where no rule is given.
 *
 * @throws `ERR_KEY_MISSING`, `ERR_KEY_ZERO`, `ERR_KEY_FORMAT`; outside production `ERR_ENV_MISSING` when no key can be had
 */
export function environmentKeyring(name: string, config: EnvironmentKeyringConfig, surroundings: Surroundings): EnvironmentKeyring {
  const { sign, previous = [], development = [] } = config
  const keyRule = config.keyRule ?? (sign === undefined ? 'hex' : 'utf8')
  const leastBytes = Number(sign?.slice(2) ?? 0) / 8
  const read = (ref: SecretRef) => readSecret(ref, surroundings.env)
  const keysOf = (ref: SecretRef, several: boolean): NamedKey[] => {
    const text = read(ref)
    const texts = text === null ? [] : several ? split(text, keyRule) : [text]
    return texts.map((one, n) => ({
      material:
        sign === undefined ? keyFromText(one, keyRule, labelOf(ref)) : secretFromText(one, keyRule, { leastBytes, label: labelOf(ref) }),
      label: n === 0 ? labelOf(ref) : `${labelOf(ref)} (${n + 1})`,
    }))
  }
  const [primary] = keysOf(config.primary, false)
  const [fallback] = config.fallback === undefined ? [] : keysOf(config.fallback, false)
  const old = previous.flatMap((ref) => keysOf(ref, true))
  const active =
    primary ??
    fallback ??
    developmentKey(
      name,
      config,
      surroundings,
      development.map((ref) => [labelOf(ref), read(ref)]),
    )
  refuseZeros(active, surroundings)
  if (config.fallback !== undefined) warnOfFallback(name, config, { primary, fallback }, surroundings.warn)
  const developmentFrom = primary === undefined && fallback === undefined ? development.map(labelOf) : undefined
  return liveKeyring(name, [active, ...old, ...(primary !== undefined && fallback !== undefined ? [fallback] : [])], developmentFrom)
}

const labelOf = (ref: SecretRef): string => ('env' in ref ? ref.env : ref.file)

/** The text of a secret; null where it is unset, empty, or its file is not there. One line break at the end of a file is not part of it. */
export function readSecret(ref: SecretRef, env: Surroundings['env']): string | null {
  if ('env' in ref) return variableOf(env, ref.env) ?? null
  try {
    return readFileSync(ref.file, 'utf8').replace(/\r?\n$/, '') || null
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT') return null
    throw fail('ERR_CONFIG', ref.file, 'the file cannot be read')
  }
}

function split(text: string, rule: KeyRule): string[] {
  if (rule !== 'utf8' && rule !== 'passphrase') return text.split(',').filter((part) => part.trim() !== '')
  if (!text.startsWith('[')) return [text]
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : [text]
  } catch {
    // A key may begin with a bracket.
    return [text]
  }
}

/** Zero bytes, and zeros written as text, which rules that take any text would not show. */
function isZero({ material }: NamedKey): boolean {
  return zeros.some((zero) => material.equals(zero))
}
const zeros = [
  new KeyMaterial(new Uint8Array(32)),
  new KeyMaterial(Buffer.from('0'.repeat(32))),
  keyFromText('0'.repeat(64), 'passphrase', 'zeros'),
]

function refuseZeros(active: NamedKey, { production, warn }: Surroundings): void {
  if (!isZero(active)) return
  if (production) throw fail('ERR_KEY_ZERO', active.label)
  warn(`${active.label} is all zeros, a key that everybody knows. In production the process would not start with it.`)
}

function warnOfFallback(
  keyring: string,
  config: EnvironmentKeyringConfig,
  { primary, fallback }: { readonly primary: NamedKey | undefined; readonly fallback: NamedKey | undefined },
  warn: Surroundings['warn'],
): void {
  if (fallback === undefined) return
  const name = labelOf(config.primary)
  if (primary === undefined) {
    warn(`${name} is not set: keyring "${keyring}" encrypts with ${fallback.label} instead. Set ${name} to a key of its own.`)
  } else if (primary.material.equals(fallback.material)) {
    warn(`${name} and ${fallback.label} are the same key: one leak gives away both. Set ${name} to a key of its own.`)
  }
}

/** Texts that are in examples and documentation, and short ones: as good as unset. */
const guessable = /change.?me|default|example|secret|password|^dev|^test/i

function developmentKey(
  keyring: string,
  config: EnvironmentKeyringConfig,
  { production, warn }: Surroundings,
  sources: readonly (readonly [string, string | null])[],
): NamedKey {
  const name = labelOf(config.primary)
  if (production) throw fail('ERR_KEY_MISSING', name)
  if (sources.length === 0) throw fail('ERR_ENV_MISSING', name, `keyring "${keyring}"`)
  const known = sources.every(([, text]) => text === null || text.length < 16 || guessable.test(text))
  const from = sources.map(([label]) => label).join(' and ')
  warn(
    known
      ? `${name} is not set, and ${from} are unset or left at their defaults: keyring "${keyring}" uses a development key that EVERYBODY KNOWS. Nothing it encrypts is protected.`
      : `${name} is not set: keyring "${keyring}" uses a development key derived from ${from}. When one of them changes, its values do not open any more.`,
  )
  // JSON keeps names and values apart, so that no two sets of secrets have the same bytes.
  const bytes = hkdfSync('sha256', JSON.stringify(sources), Buffer.alloc(0), 'keyturn/development-key', 32)
  return { material: new KeyMaterial(new Uint8Array(bytes)), label: `the development key from ${from}` }
}

function kidOf(material: KeyMaterial): string {
  return kidText(new Uint8Array(hkdfSync('sha256', material.key, Buffer.alloc(0), 'keyturn/environment-kid', KID_BYTES)))
}

/** The first key is active; the others decrypt, in their order. A key that comes again is left out. */
function liveKeyring(name: string, keys: readonly NamedKey[], developmentFrom: readonly string[] | undefined): EnvironmentKeyring {
  const byId = new Map<string, NamedKey>()
  for (const key of keys) {
    const id = kidOf(key.material)
    if (!byId.has(id)) byId.set(id, key)
  }
  // When they were made is not known.
  const at = new Date(0)
  const versions = [...byId].map(([id, { material }], n) => {
    const state = n === 0 ? 'active' : 'retiring'
    const facts = {
      id,
      number: byId.size - n,
      state,
      compromised: false,
      createdAt: at,
      activatedAt: at,
      retiredAt: null,
      destroyedAt: null,
    } as const
    return new KeyVersion(facts, material)
  })
  const snapshot = new Keyring(name, 0, versions)
  let spent = 0
  const assertLeft = (messages: number) => {
    if (spent + messages > MAX_MESSAGES) throw fail('ERR_KEY_EXHAUSTED', name, snapshot.active.id)
  }
  return {
    name,
    snapshot,
    labels: new Map([...byId].map(([id, { label }]) => [id, label])),
    knownToAll: new Set([...byId].flatMap(([id, key]) => (isZero(key) ? [id] : []))),
    ...(developmentFrom === undefined ? {} : { developmentFrom }),
    spend: (messages) => {
      assertLeft(messages)
      spent += messages
      return snapshot.active
    },
    reserve: async (messages) => assertLeft(messages),
    reload: async () => snapshot,
    close: () => {},
  }
}
