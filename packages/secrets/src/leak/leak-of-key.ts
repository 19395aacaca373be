import { type Census, fail, type KeyringStatus, type Keyturn, nearest } from '@keyturn/core'
import { sealedField } from '../run/sealed-values.ts'
import type { SecretStatus } from '../secret/inventory.ts'
import type { SecretConfig } from '../secret/secret-config.ts'
import type { Secrets } from '../secrets.ts'
import { byRisk, type Leak, type OpenedByLeak, type Remedy } from './leak.ts'
import { exposureOf, remediesOf } from './leak-of-secret.ts'

/** The key that leaked; all versions of the keyring that are not destroyed unless one is named. */
export interface LeakedKey {
  readonly keyring: string
  readonly version?: string
  /** The latest counts of its values, where somebody has kept them; null: they were never counted. Counted now unless given. */
  readonly census?: Census | null
}

interface Found {
  readonly keyring: KeyringStatus
  readonly versions: KeyringStatus['versions']
  /** Secrets whose credentials stand under the key: sealed by Keyturn, or in a field of the application. */
  readonly secrets: readonly { readonly status: SecretStatus; readonly exposed: readonly string[]; readonly mends: readonly Remedy[] }[]
  /** Values under the key by field; null where they were not counted. */
  readonly fields: readonly { readonly name: string; readonly values: number | null; readonly inRedis: boolean }[]
}

/**
 * What a leaked key opens: its fields with their counts, the secrets whose credentials stand in them; and what is still exposed. Counts by key
 * and format, opens no value, changes nothing.
 *
 * @param secrets - null where the configuration has none
 * @throws `ERR_UNKNOWN_NAME`
 */
export async function leakOfKey(keyturn: Keyturn, secrets: Secrets | null, { keyring: name, version, census }: LeakedKey): Promise<Leak> {
  const [keyring] = await keyturn.keyrings(name)
  if (keyring === undefined) throw fail('ERR_UNKNOWN_NAME', 'keyring', name, '')
  const ids = keyring.versions.map(({ id }) => id)
  if (version !== undefined && !ids.includes(version)) throw fail('ERR_UNKNOWN_NAME', 'key version', version, nearest(version, ids))
  const versions = keyring.versions.filter(({ id, state }) => (version === undefined ? state !== 'destroyed' : id === version))
  const ofVersions = versions.map(({ id }) => id)
  const fields = keyring.signing !== null || versions.length === 0 ? [] : await counted(keyturn, keyring, { ids: ofVersions, census })
  const found = { keyring, versions, fields, secrets: secrets === null ? [] : await secretsUnder(keyturn, secrets, { keyring, versions }) }
  return {
    subject: { kind: 'key', keyring: name, versions: ofVersions },
    opens: opensOf(found),
    mends: remedies(found),
    exposed: [...keyExposure(found), ...found.secrets.flatMap(({ exposed }) => exposed)],
    unknown: unknownOf(found),
  }
}

async function counted(
  keyturn: Keyturn,
  { name, fields: names }: KeyringStatus,
  { ids, census }: { readonly ids: readonly string[]; readonly census: Census | null | undefined },
): Promise<Found['fields']> {
  const { fields } = census === undefined ? await keyturn.census({ keyring: name }) : (census ?? { fields: [] })
  return [...new Set([...names, ...fields.map(({ field }) => field)])].map((field) => {
    const found = fields.find((each) => each.field === field)
    const under = found?.groups.filter(({ keyId }) => keyId !== null && ids.includes(keyId))
    const values = under === undefined ? null : under.reduce((sum, group) => sum + group.values, 0)
    return { name: field, values, inRedis: keyturn.field(field).location.store === 'redis' }
  })
}

async function secretsUnder(
  { config }: Keyturn,
  secrets: Secrets,
  { keyring, versions }: Pick<Found, 'keyring' | 'versions'>,
): Promise<Found['secrets']> {
  const sealed = config.fields[sealedField]?.keyring === keyring.name
  const under: Found['secrets'][number][] = []
  for (const status of await secrets.list()) {
    const { stores = [] } = (config.secrets?.[status.name] ?? {}) as Partial<SecretConfig>
    const kept = stores.some(({ store, field }) => store === 'field' && typeof field === 'string' && keyring.fields.includes(field))
    // What was never rotated here stands nowhere of ours, unless a run has sealed it.
    if (!kept && !(sealed && (status.since !== null || status.run !== null))) continue
    const runs = await secrets.history(status.name)
    under.push({ status, exposed: exposureOf(status, runs, replacedAt(keyring, versions)), mends: remediesOf(status, runs) })
  }
  return under.toSorted((one, other) => byRisk(one.status, other.status))
}

/** When another key took the place of those that leaked, in milliseconds since 1970; infinite while nothing has. */
function replacedAt({ versions: all }: KeyringStatus, leaked: KeyringStatus['versions']): number {
  const newest = Math.max(...leaked.map(({ number }) => number))
  const next = all
    .filter(({ number, activatedAt }) => number > newest && activatedAt !== null)
    .map(({ activatedAt }) => Date.parse(activatedAt ?? ''))
  return leaked.length === 0 ? 0 : Math.min(...next, Number.POSITIVE_INFINITY)
}

function opensOf({ keyring, fields, secrets }: Found): OpenedByLeak[] {
  const tokens: OpenedByLeak[] =
    keyring.signing === null
      ? []
      : [
          {
            what: 'tokens',
            name: keyring.name,
            risk: 'critical',
            owner: null,
            values: null,
            sentence: 'whoever has the key makes tokens of any user',
          },
        ]
  const opened = fields.map(({ name, values }): OpenedByLeak => {
    const sentence = name === sealedField ? 'the credentials of the secrets below' : 'values that the application keeps'
    return { what: 'field', name, risk: 'critical', owner: null, values, sentence }
  })
  const known = secrets.map(({ status }): OpenedByLeak => {
    const { name, risk, owner, rotator, since } = status
    return { what: 'secret', name, risk, owner, values: null, sentence: `${rotator}${since === null ? '' : `; in use since ${since}`}` }
  })
  return [...tokens, ...opened.toSorted((one, other) => (other.values ?? 0) - (one.values ?? 0)), ...known]
}

/** What of the key itself is of use. */
function keyExposure({ keyring, versions, fields }: Found): string[] {
  const sentences = versions
    .filter(({ state }) => state !== 'retired' && state !== 'destroyed')
    .map(({ id, state }) => {
      const does =
        keyring.signing === null
          ? state === 'active'
            ? 'new values are written under it'
            : 'it is not retired'
          : 'its tokens are accepted'
      return `key ${id} of keyring "${keyring.name}" is ${state}: ${does}`
    })
  const counts = fields.flatMap(({ name, values }) =>
    values === null || values === 0 ? [] : [`${values.toLocaleString('en-US')} of ${name}`],
  )
  return counts.length === 0 ? sentences : [...sentences, `values stand under it: ${counts.join(', ')}`]
}

function remedies({ keyring, versions, fields, secrets }: Found): Remedy[] {
  const open = versions.filter(({ state }) => state !== 'retired' && state !== 'destroyed')
  const sessions = fields.filter(({ inRedis, values }) => inRedis && (values === null ? open.length > 0 : values > 0))
  return [
    ...(keyring.kind === 'stored'
      ? remediesOfKey(keyring, { versions, open, fields })
      : open.length === 0
        ? []
        : [elsewhere(keyring.name)]),
    ...sessions.map(({ name }) => ({
      command: `keyturn sessions end --field ${name}`,
      why: 'where sessions stand in it: whoever read one goes on with it until it ends. Everybody logs in again',
      act: null,
    })),
    // A credential that was read is known, whatever it is encrypted with afterwards.
    ...secrets.flatMap(({ status: { name, risk }, exposed, mends }) =>
      exposed.length === 0 ? [] : mends.map((remedy) => ({ ...remedy, why: `risk ${risk}, ${name}: ${remedy.why}` })),
    ),
  ]
}

const elsewhere = (name: string): Remedy => ({
  command: null,
  why: `give keyring "${name}" another key where it comes from; then "keyturn rotate ${name}"`,
  act: null,
})

function remediesOfKey(
  { name, signing }: KeyringStatus,
  { versions, open, fields }: Pick<Found, 'versions' | 'fields'> & { readonly open: Found['versions'] },
): Remedy[] {
  const active = versions.some(({ state }) => state === 'active')
  const left = fields.some(({ values }) => values !== null && values > 0)
  // Keys that sign turn over by the application and its command.
  const rotate = { command: `keyturn rotate ${name}`, act: { kind: 'rotate-key', keyring: name } } as const
  const retire = {
    command: `keyturn retire ${name}`,
    act: { kind: 'retire-key', keyring: name, versions: open.map(({ id }) => id) },
  } as const
  if (signing !== null)
    return [
      ...(active ? [{ command: `${rotate.command} --now`, why: 'a new key signs at once', act: null }] : []),
      ...(open.length === 0
        ? []
        : [{ command: `${retire.command} --compromised`, why: 'tokens of the old key are refused everywhere', act: null }]),
    ]
  return [
    ...(active
      ? [{ ...rotate, why: 'a new key, and every value under it' }]
      : left
        ? [{ ...rotate, why: 'what is left under the old key is rewritten' }]
        : []),
    ...(open.length === 0 ? [] : [{ ...retire, why: 'the database refuses the key, and has checked every row' }]),
  ]
}

function unknownOf({ fields, secrets, keyring }: Found): string[] {
  const others = fields.filter(({ name }) => name !== sealedField).map(({ name }) => name)
  const backups = [
    ...(fields.some(({ values }) => values === null) ? ['How many values stand under the key: not all were counted yet.'] : []),
    ...(keyring.signing === null ? ['Backups hold what stood under the key.'] : []),
  ]
  if (others.length === 0) return backups
  const known = secrets.length === 0 ? '' : ', but for the secrets above'
  return [
    `What stood in ${others.join(', ')} may have been read. A new key does not change that: have it changed where it was issued${known}.`,
    ...backups,
  ]
}
