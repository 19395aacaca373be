import { fail, type KeyringStatus, type Keyturn, nearest } from '@keyturn/core'
import { sealedField } from '../run/sealed-values.ts'
import type { SecretStatus } from '../secret/inventory.ts'
import type { SecretConfig } from '../secret/secret-config.ts'
import type { Secrets } from '../secrets.ts'
import { byRisk, type Leak, type OpenedByLeak, type Remedy } from './leak.ts'
import { exposureOf } from './leak-of-secret.ts'

/** The key that leaked; all versions of the keyring that are not destroyed unless one is named. */
export interface LeakedKey {
  readonly keyring: string
  readonly version?: string
}

interface Found {
  readonly keyring: KeyringStatus
  readonly versions: KeyringStatus['versions']
  /** Secrets whose credentials stand under the key: sealed by Keyturn, or in a field of the application. */
  readonly secrets: readonly { readonly status: SecretStatus; readonly exposed: readonly string[] }[]
  readonly fields: readonly { readonly name: string; readonly values: number }[]
}

/**
 * What a leaked key opens: its fields with their counts, the secrets whose credentials stand in them; and what is still exposed. Counts by key
 * and format, opens no value, changes nothing.
 *
 * @param secrets - null where the configuration has none
 * @throws `ERR_UNKNOWN_NAME`
 */
export async function leakOfKey(keyturn: Keyturn, secrets: Secrets | null, { keyring: name, version }: LeakedKey): Promise<Leak> {
  const [keyring] = await keyturn.keyrings(name)
  if (keyring === undefined) throw fail('ERR_UNKNOWN_NAME', 'keyring', name, '')
  const ids = keyring.versions.map(({ id }) => id)
  if (version !== undefined && !ids.includes(version)) throw fail('ERR_UNKNOWN_NAME', 'key version', version, nearest(version, ids))
  const versions = keyring.versions.filter(({ id, state }) => (version === undefined ? state !== 'destroyed' : id === version))
  const fields =
    keyring.signing !== null || versions.length === 0
      ? []
      : await counted(
          keyturn,
          name,
          versions.map(({ id }) => id),
        )
  const found = { keyring, versions, fields, secrets: secrets === null ? [] : await secretsUnder(keyturn, secrets, { keyring, versions }) }
  return {
    subject: { kind: 'key', keyring: name, versions: versions.map(({ id }) => id) },
    opens: opensOf(found),
    mends: remedies(found),
    exposed: [...keyExposure(found), ...found.secrets.flatMap(({ exposed }) => exposed)],
    unknown: unknownOf(found),
  }
}

async function counted(keyturn: Keyturn, keyring: string, ids: readonly string[]): Promise<Found['fields']> {
  const { fields } = await keyturn.census({ keyring })
  return fields.map(({ field, groups }) => ({
    name: field,
    values: groups.filter(({ keyId }) => keyId !== null && ids.includes(keyId)).reduce((sum, { values }) => sum + values, 0),
  }))
}

async function secretsUnder(
  { config }: Keyturn,
  secrets: Secrets,
  { keyring, versions }: Pick<Found, 'keyring' | 'versions'>,
): Promise<Found['secrets']> {
  const sealed = config.fields[sealedField]?.keyring === keyring.name
  const under: { status: SecretStatus; exposed: string[] }[] = []
  for (const status of await secrets.list()) {
    const { stores = [] } = (config.secrets?.[status.name] ?? {}) as Partial<SecretConfig>
    const kept = stores.some(({ store, field }) => store === 'field' && typeof field === 'string' && keyring.fields.includes(field))
    // What was never rotated here stands nowhere of ours, unless a run has sealed it.
    if (!kept && !(sealed && (status.since !== null || status.run !== null))) continue
    under.push({ status, exposed: exposureOf(status, await secrets.history(status.name), replacedAt(keyring, versions)) })
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
  const counts = fields.filter(({ values }) => values > 0).map(({ name, values }) => `${values.toLocaleString('en-US')} of ${name}`)
  return counts.length === 0 ? sentences : [...sentences, `values stand under it: ${counts.join(', ')}`]
}

function remedies({ keyring, versions, fields, secrets }: Found): Remedy[] {
  const { name, kind, signing } = keyring
  const active = versions.some(({ state }) => state === 'active')
  const open = versions.filter(({ state }) => state !== 'retired' && state !== 'destroyed')
  const left = fields.reduce((sum, { values }) => sum + values, 0)
  const commands: Remedy[] = []
  if (kind !== 'stored') {
    if (open.length > 0)
      commands.push({ command: null, why: `give keyring "${name}" another key where it comes from; then "keyturn rotate ${name}"` })
  } else {
    if (active)
      commands.push({
        command: `keyturn rotate ${name}${signing === null ? '' : ' --now'}`,
        why: signing === null ? 'a new key, and every value under it' : 'a new key signs at once',
      })
    else if (left > 0) commands.push({ command: `keyturn rotate ${name}`, why: 'what is left under the old key is rewritten' })
    if (open.length > 0)
      commands.push({
        command: `keyturn retire ${name}${signing === null ? '' : ' --compromised'}`,
        why: signing === null ? 'the database refuses the key, and has checked every row' : 'tokens of the old key are refused everywhere',
      })
  }
  // A credential that was read is known, whatever it is encrypted with afterwards.
  for (const { status, exposed } of secrets)
    if (exposed.length > 0)
      commands.push(
        status.run === null
          ? { command: `keyturn secrets rotate ${status.name} --leaked`, why: `risk ${status.risk}: it stood under the key` }
          : { command: `keyturn secrets resume ${status.run.id}`, why: `risk ${status.risk}: ${status.name} has a run that is not over` },
      )
  return commands
}

function unknownOf({ fields, secrets, keyring }: Found): string[] {
  const others = fields.filter(({ name }) => name !== sealedField).map(({ name }) => name)
  const backups = keyring.signing === null ? ['Backups hold what stood under the key.'] : []
  if (others.length === 0) return backups
  const known = secrets.length === 0 ? '' : ', but for the secrets above'
  return [
    `What stood in ${others.join(', ')} may have been read. A new key does not change that: have it changed where it was issued${known}.`,
    ...backups,
  ]
}
