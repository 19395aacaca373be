import { randomBytes } from 'node:crypto'
import { makeCertificate } from './certificate.ts'
import { type Answer, type Asked, credentialOf, type Double, jsonOf, type Operation, startDouble } from './faults.ts'

export interface KeyVaultOptions {
  /**
   * Which tokens are good: those of a double of Entra, for the resource `https://vault.azure.net`. Unless given, the double's own `token`.
   */
  readonly isToken?: (token: string) => boolean
  /** Where the challenge sends a client that has no token. */
  readonly authority?: string
}

interface Version {
  readonly id: string
  readonly value: string
  readonly createdAt: number
  tags: object | undefined
  contentType: string | undefined
  attributes: { enabled?: boolean; exp?: number; nbf?: number }
  updatedAt: number
}

type Secret = { readonly name: string; readonly versions: Version[]; deletedAt: number | null }

/** A Key Vault on this machine, over TLS: its secrets and their versions. */
export interface KeyVaultDouble extends Double {
  /** The authority that a client must trust, in PEM. */
  readonly ca: string
  /** A token that is good unless `isToken` was given. */
  readonly token: string
  /** What a reader without a version gets; null where that is refused. */
  value(name: string): string | null
  /** Of all versions, the oldest first: whether they can be read, and their tags. */
  versions(name: string): { readonly enabled: boolean; readonly tags: object | undefined }[]
}

const RESOURCE = 'https://vault.azure.net'
const MOST_BYTES = 25_600
const PAGE = 25

/** Starts a double; the caller stops it. */
export async function startKeyVault({
  isToken,
  authority = 'https://login.microsoftonline.com/double',
}: KeyVaultOptions = {}): Promise<KeyVaultDouble> {
  const { ca, ...tls } = makeCertificate()
  const token = randomBytes(32).toString('base64url')
  const secrets = new Map<string, Secret>()
  let origin = ''
  const seconds = () => Math.floor(Date.now() / 1000)
  // Names differ by more than the case of their letters.
  const find = (name: string) => secrets.get(name.toLowerCase())
  const newest = (secret: Secret | undefined) => (secret?.deletedAt === null ? secret.versions.at(-1) : undefined)
  const isEnabled = ({ attributes }: Version) => attributes.enabled !== false
  const shown = (name: string, { id, createdAt, updatedAt, attributes, tags, contentType }: Version) => ({
    id: `${origin}/secrets/${name}/${id}`,
    attributes: {
      enabled: true,
      ...attributes,
      created: createdAt,
      updated: updatedAt,
      recoveryLevel: 'Recoverable+Purgeable',
      recoverableDays: 90,
    },
    ...(tags !== undefined && { tags }),
    ...(contentType !== undefined && { contentType }),
  })
  const deletedShown = (name: string, secret: Secret, version: Version) => ({
    ...shown(name, version),
    recoveryId: `${origin}/deletedsecrets/${name}`,
    deletedDate: secret.deletedAt,
    scheduledPurgeDate: (secret.deletedAt ?? 0) + 90 * 86_400,
  })
  const isGood = isToken ?? ((sent: string) => sent === token)
  const guarded =
    (answer: (asked: Asked, name: string, version: string) => Answer): Operation['answer'] =>
    (asked, [name = '', version = '']) => {
      const challenge = { 'www-authenticate': `Bearer authorization="${authority}", resource="${RESOURCE}"` }
      const sent = credentialOf(asked)
      if (!isGood(sent)) {
        const body = errorBody(
          'Unauthorized',
          sent === '' ? 'AKV10000: Request is missing a Bearer or PoP token.' : 'AKV10032: Invalid issuer.',
        )
        return { status: 401, headers: challenge, body }
      }
      if (!asked.url.searchParams.get('api-version')) return refused(400, 'BadParameter', 'api-version must be specified')
      return answer(asked, name, version)
    }
  const withSecret = (answer: (asked: Asked, secret: Secret, version: string) => Answer) =>
    guarded((asked, name, version) => {
      const secret = find(name)
      if (secret === undefined || secret.deletedAt !== null)
        return refused(404, 'SecretNotFound', `A secret with (name/id) ${name} was not found in this key vault.`)
      return answer(asked, secret, version)
    })
  const withVersion = (answer: (asked: Asked, name: string, version: Version) => Answer) =>
    withSecret((asked, secret, id) => {
      const version = id === '' ? newest(secret) : secret.versions.find((one) => one.id === id)
      return version === undefined
        ? refused(404, 'SecretNotFound', `A secret with (name/id) ${secret.name}/${id} was not found in this key vault.`)
        : answer(asked, secret.name, version)
    })
  const withDeleted = (answer: (secret: Secret, version: Version) => Answer) =>
    guarded((_, name) => {
      const secret = find(name)
      const version = secret?.versions.at(-1)
      return secret === undefined || secret.deletedAt === null || version === undefined
        ? refused(404, 'SecretNotFound', `Deleted Secret not found: ${name}`)
        : answer(secret, version)
    })
  const one = '/([0-9a-zA-Z_.~%-]+)'
  const operations: Operation[] = [
    {
      name: 'setSecret',
      method: 'PUT',
      path: new RegExp(`^/secrets${one}/*$`),
      answer: guarded((asked, name) => {
        const input = jsonOf<Pick<Version, 'tags' | 'contentType' | 'attributes'> & { value: string }>(asked)
        if (!/^[0-9a-zA-Z-]{1,127}$/.test(name)) return refused(400, 'BadParameter', `The request URI contains an invalid name: ${name}`)
        if (typeof input.value !== 'string' || Buffer.byteLength(input.value) > MOST_BYTES)
          return refused(400, 'BadParameter', 'Secret value is invalid.')
        const secret = find(name) ?? { name, versions: [], deletedAt: null }
        if (secret.deletedAt !== null)
          return refused(
            409,
            'Conflict',
            `Secret ${name} is currently in a deleted but recoverable state.`,
            'ObjectIsDeletedButRecoverable',
          )
        const { value, tags, contentType, attributes = {} } = input
        const times = { createdAt: seconds(), updatedAt: seconds() }
        const version: Version = { id: randomBytes(16).toString('hex'), value, tags, contentType, attributes, ...times }
        // At once what a reader without a version gets.
        secret.versions.push(version)
        secrets.set(name.toLowerCase(), secret)
        return { status: 200, body: { value, ...shown(name, version) }, made: [version.id] }
      }),
    },
    {
      name: 'listVersions',
      method: 'GET',
      path: new RegExp(`^/secrets${one}/+versions/*$`),
      answer: withSecret(({ url }, secret) => {
        const { maxresults = String(PAGE), $skiptoken: from = '0' } = Object.fromEntries(url.searchParams)
        const end = Number(from) + Math.min(PAGE, Number(maxresults))
        // By their ids, which says nothing of their age.
        const all = secret.versions.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map((version) => shown(secret.name, version))
        const next = `${origin}/secrets/${secret.name}/versions?api-version=${url.searchParams.get('api-version')}&$skiptoken=${end}&maxresults=${maxresults}`
        return { status: 200, body: { value: all.slice(Number(from), end), nextLink: end < all.length ? next : null } }
      }),
    },
    {
      name: 'getSecret',
      method: 'GET',
      // Without a version the SDK leaves a slash at the end.
      path: new RegExp(`^/secrets${one}(?:/+([0-9a-f]*))?$`),
      answer: withVersion((_, name, version) =>
        isEnabled(version)
          ? { status: 200, body: { value: version.value, ...shown(name, version) } }
          : refused(403, 'Forbidden', 'Operation get is not allowed on a disabled secret.', 'SecretDisabled'),
      ),
    },
    {
      name: 'updateSecret',
      method: 'PATCH',
      path: new RegExp(`^/secrets${one}(?:/+([0-9a-f]*))?$`),
      answer: withVersion((asked, name, version) => {
        const { attributes, tags, contentType } = jsonOf<Pick<Version, 'tags' | 'contentType' | 'attributes'>>(asked)
        Object.assign(version.attributes, attributes)
        Object.assign(version, {
          updatedAt: seconds(),
          ...(tags !== undefined && { tags }),
          ...(contentType !== undefined && { contentType }),
        })
        return { status: 200, body: shown(name, version) }
      }),
    },
    {
      name: 'deleteSecret',
      method: 'DELETE',
      // The whole secret: there is no such call for one version.
      path: new RegExp(`^/secrets${one}/*$`),
      answer: withSecret((_, secret) => {
        secret.deletedAt = seconds()
        const version = secret.versions.at(-1)
        return { status: 200, body: version === undefined ? {} : deletedShown(secret.name, secret, version) }
      }),
    },
    {
      name: 'getDeletedSecret',
      method: 'GET',
      path: new RegExp(`^/deletedsecrets${one}/*$`),
      answer: withDeleted((secret, version) => ({ status: 200, body: deletedShown(secret.name, secret, version) })),
    },
    {
      name: 'recoverDeletedSecret',
      method: 'POST',
      path: new RegExp(`^/deletedsecrets${one}/+recover$`),
      answer: withDeleted((secret, version) => {
        secret.deletedAt = null
        return { status: 200, body: shown(secret.name, version) }
      }),
    },
  ]
  const double = await startDouble(operations, {
    tls,
    errorBody: (status) => errorBody(status === 429 ? 'Throttled' : 'MethodNotAllowed', `status ${status}`),
  })
  origin = double.origin
  return {
    ...double,
    ca,
    token,
    value: (name) => {
      const version = newest(find(name))
      return version === undefined || !isEnabled(version) ? null : version.value
    },
    versions: (name) => (find(name)?.versions ?? []).map((version) => ({ enabled: isEnabled(version), tags: version.tags })),
  }
}

const errorBody = (code: string, message: string, inner?: string): object => ({
  error: { code, message, ...(inner !== undefined && { innererror: { code: inner } }) },
})
const refused = (status: number, code: string, message: string, inner?: string): Answer => ({
  status,
  body: errorBody(code, message, inner),
})
