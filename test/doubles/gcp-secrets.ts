import { randomBytes } from 'node:crypto'
import { type Answer, jsonOf, type Operation } from './faults.ts'
import type { GcpRules } from './gcp.ts'
import { gcpRefused } from './gcp-refused.ts'

type State = 'ENABLED' | 'DISABLED' | 'DESTROYED'

interface Version {
  readonly number: number
  readonly createdAt: string
  readonly checked: boolean
  data: Buffer | null
  state: State
  etag: string
  /** What an access still sees, and how often. */
  seen: State
  stale: number
}

/** What `latest` or an alias gives: what it was before, until so many accesses have come. */
type Pointer = { readonly to: number; readonly before: number | null; stale: number }

interface Secret {
  readonly id: string
  readonly versions: Version[]
  etag: string
  readonly pointers: Map<string, Pointer>
}

/** The secrets of Secret Manager. */
export interface GcpSecrets {
  readonly operations: readonly Operation[]
  /** A new secret without versions. */
  make(id: string): void
  /** What an access by number gives, without any delay; null where it gives nothing. */
  value(id: string, version: number): string | null
  states(id: string): State[]
}

const MOST_BYTES = 65_536
const MOST_ALIASES = 50
/** Names hold the number of the project, whatever was asked with. */
const PROJECT_NUMBER = '123456789012'

export function gcpSecrets(project: string, rules: GcpRules): GcpSecrets {
  const secrets = new Map<string, Secret>()
  const newEtag = () => `"${randomBytes(7).toString('hex')}"`
  const nameOf = ({ id }: Secret) => `projects/${PROJECT_NUMBER}/secrets/${id}`
  const shown = (secret: Secret, version: Version) => ({
    name: `${nameOf(secret)}/versions/${version.number}`,
    createTime: version.createdAt,
    state: version.state,
    etag: version.etag,
    replicationStatus: { automatic: {} },
    ...(version.checked && { clientSpecifiedPayloadChecksum: true }),
  })
  const secretShown = (secret: Secret) => {
    const aliases = [...secret.pointers].filter(([name]) => name !== 'latest').map(([name, { to }]) => [name, String(to)])
    return {
      name: nameOf(secret),
      replication: { automatic: {} },
      etag: secret.etag,
      ...(aliases.length > 0 && { versionAliases: Object.fromEntries(aliases) }),
    }
  }
  const point = ({ pointers }: Secret, name: string, to: number) => {
    const before = pointers.get(name)
    if (before?.to !== to) pointers.set(name, { to, before: before?.to ?? null, stale: rules.lag.pointer })
  }
  /** The version that is named by number, `latest` or an alias; a number is never late. */
  const resolve = (secret: Secret, named: string): Version | undefined => {
    const pointer = secret.pointers.get(named)
    const number = pointer === undefined ? Number(named) : pointer.stale-- > 0 ? pointer.before : pointer.to
    return secret.versions.find((version) => version.number === number)
  }
  const inSecret =
    (answer: (parts: { asked: Parameters<Operation['answer']>[0]; secret: Secret; named: string }) => Answer): Operation['answer'] =>
    (asked, [named, id = '', version = '']) => {
      const secret = named === project || named === PROJECT_NUMBER ? secrets.get(id) : undefined
      return secret === undefined
        ? gcpRefused(404, 'NOT_FOUND', `Secret [projects/${PROJECT_NUMBER}/secrets/${id}] not found.`)
        : answer({ asked, secret, named: version })
    }
  const access = inSecret(({ secret, named }) => {
    const version = resolve(secret, named)
    if (version === undefined)
      return gcpRefused(404, 'NOT_FOUND', `Secret Version [${nameOf(secret)}/versions/${named}] not found or has no versions.`)
    const state = version.stale-- > 0 ? version.seen : version.state
    // Also by `latest`: it does not fall back to an older version.
    if (state !== 'ENABLED' || version.data === null)
      return gcpRefused(400, 'FAILED_PRECONDITION', `Secret Version [${nameOf(secret)}/versions/${version.number}] is in ${state} state.`)
    const payload = { data: version.data.toString('base64'), dataCrc32c: String(crc32c(version.data)) }
    return { status: 200, body: { name: `${nameOf(secret)}/versions/${version.number}`, payload } }
  })
  const setState = (state: State) =>
    inSecret(({ asked, secret, named }) => {
      // Changes go by number: aliases are for reading.
      const version = secret.versions.find(({ number }) => String(number) === named)
      if (version === undefined) return gcpRefused(404, 'NOT_FOUND', `Secret Version [${nameOf(secret)}/versions/${named}] not found.`)
      const { etag } = jsonOf<{ etag: string }>(asked)
      if (etag !== undefined && etag !== version.etag) return gcpRefused(400, 'FAILED_PRECONDITION', 'The etag does not match.')
      if (version.state === 'DESTROYED' && state !== 'DESTROYED')
        return gcpRefused(400, 'FAILED_PRECONDITION', `Secret Version [${nameOf(secret)}/versions/${named}] is in DESTROYED state.`)
      Object.assign(version, { seen: version.state, stale: rules.lag.state, state, etag: newEtag() })
      if (state === 'DESTROYED') Object.assign(version, { data: null })
      return { status: 200, body: shown(secret, version) }
    })
  const path = (rest: string) => new RegExp(`^/v1/projects/([^/]+)/secrets/([A-Za-z0-9_-]+)${rest}$`)
  return {
    make: (id) => {
      secrets.set(id, { id, versions: [], etag: newEtag(), pointers: new Map() })
    },
    value: (id, number) => {
      const version = secrets.get(id)?.versions.find((one) => one.number === number)
      return version?.state === 'ENABLED' ? (version.data?.toString('utf8') ?? null) : null
    },
    states: (id) => (secrets.get(id)?.versions ?? []).map(({ state }) => state),
    operations: [
      {
        name: 'addVersion',
        method: 'POST',
        path: path(':addVersion'),
        answer: inSecret(({ asked, secret }) => {
          const { payload } = jsonOf<{ payload: { data?: string; dataCrc32c?: string } }>(asked)
          const data = Buffer.from(payload?.data ?? '', 'base64')
          if (data.length === 0 || data.length > MOST_BYTES) return gcpRefused(400, 'INVALID_ARGUMENT', 'The payload has 1 to 65536 bytes.')
          const sum = payload?.dataCrc32c
          if (sum !== undefined && sum !== String(crc32c(data)))
            return gcpRefused(400, 'INVALID_ARGUMENT', 'The checksum does not match the payload.')
          const number = secret.versions.length + 1
          const times = { createdAt: new Date().toISOString(), etag: newEtag() }
          const version: Version = { number, data, state: 'ENABLED', checked: sum !== undefined, ...times, seen: 'ENABLED', stale: 0 }
          secret.versions.push(version)
          point(secret, 'latest', number)
          return { status: 200, body: shown(secret, version), made: [String(number)] }
        }),
      },
      { name: 'access', method: 'GET', path: path('/versions/([A-Za-z0-9_-]+):access'), answer: access },
      {
        name: 'getVersion',
        method: 'GET',
        path: path('/versions/([A-Za-z0-9_-]+)'),
        answer: inSecret(({ secret, named }) => {
          const version = resolve(secret, named)
          return version === undefined
            ? gcpRefused(404, 'NOT_FOUND', 'Secret Version not found.')
            : { status: 200, body: shown(secret, version) }
        }),
      },
      {
        name: 'listVersions',
        method: 'GET',
        path: path('/versions'),
        answer: inSecret(({ asked, secret }) => {
          const size = Number(asked.url.searchParams.get('pageSize') ?? 25_000)
          const from = Number(asked.url.searchParams.get('pageToken') ?? 0)
          const all = secret.versions.toReversed()
          const versions = all.slice(from, from + size).map((version) => shown(secret, version))
          const next = from + size < all.length ? { nextPageToken: String(from + size) } : {}
          return { status: 200, body: { ...(versions.length > 0 && { versions }), ...next, totalSize: all.length } }
        }),
      },
      { name: 'disableVersion', method: 'POST', path: path('/versions/([A-Za-z0-9_-]+):disable'), answer: setState('DISABLED') },
      { name: 'enableVersion', method: 'POST', path: path('/versions/([A-Za-z0-9_-]+):enable'), answer: setState('ENABLED') },
      { name: 'destroyVersion', method: 'POST', path: path('/versions/([A-Za-z0-9_-]+):destroy'), answer: setState('DESTROYED') },
      {
        name: 'getSecret',
        method: 'GET',
        path: path(''),
        answer: inSecret(({ secret }) => ({ status: 200, body: secretShown(secret) })),
      },
      {
        name: 'updateSecret',
        method: 'PATCH',
        path: path(''),
        answer: inSecret(({ asked, secret }) => {
          if (asked.url.searchParams.get('updateMask') !== 'versionAliases')
            return gcpRefused(400, 'INVALID_ARGUMENT', 'The update mask names another field.')
          const { versionAliases = {}, etag } = jsonOf<{ versionAliases: Record<string, string>; etag: string }>(asked)
          if (etag !== undefined && etag !== secret.etag) return gcpRefused(400, 'FAILED_PRECONDITION', 'The etag does not match.')
          const entries = Object.entries(versionAliases)
          const isBad = ([name, number]: [string, string]) =>
            !/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name) ||
            ['latest', 'NEW'].includes(name) ||
            !secret.versions.some((version) => String(version.number) === String(number))
          if (entries.length > MOST_ALIASES || entries.some(isBad)) return gcpRefused(400, 'INVALID_ARGUMENT', 'An alias is not valid.')
          for (const name of secret.pointers.keys()) if (name !== 'latest' && !(name in versionAliases)) secret.pointers.delete(name)
          for (const [name, number] of entries) point(secret, name, Number(number))
          secret.etag = newEtag()
          return { status: 200, body: secretShown(secret) }
        }),
      },
    ],
  }
}

/** CRC-32C (Castagnoli), which the payloads of Secret Manager are checked with. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}
