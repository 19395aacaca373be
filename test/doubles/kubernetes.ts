import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, credentialOf, type Double, type DoubleOptions, jsonOf, type Operation, startDouble } from './faults.ts'
import type { Env } from './fly-machine.ts'
import { Deployment, type DeploymentOptions, type DeploymentSpec } from './kubernetes-deployment.ts'

/** The API of a cluster on this machine: secrets, and deployments that read them. */
export interface KubernetesDouble extends Double {
  /** A token that may do everything. */
  readonly token: string
  /** A token of a service account that may do these verbs, to secrets and deployments of one namespace. */
  createToken(namespace: string, verbs: readonly ('get' | 'patch')[]): string
  createSecret(namespace: string, name: string, data: Env, more?: { readonly immutable?: boolean }): void
  /** What a secret holds, decoded. */
  secret(namespace: string, name: string): Env
  /** Somebody else changes it. */
  editElsewhere(namespace: string, name: string, data: Env): void
  createDeployment(namespace: string, name: string, options?: DeploymentOptions): Promise<Deployment>
}

type Meta = { readonly resourceVersion?: string }
type Data = Readonly<Record<string, string>>
type Secret = { data: Data; resourceVersion: number; readonly immutable: boolean }
type SecretPatch = {
  readonly metadata?: Meta
  readonly data?: Record<string, string | null>
  readonly stringData?: Record<string, string>
}
type DeploymentPatch = { readonly metadata?: Meta; readonly spec?: object }
type Token = { readonly namespace: string | null; readonly verbs: readonly string[]; readonly user: string }

const MOST_BYTES = 1_048_576
const reasons: Record<number, readonly [reason: string, message: string]> = {
  400: ['BadRequest', 'the body of the request was in an unknown format'],
  401: ['Unauthorized', 'Unauthorized'],
  404: ['NotFound', 'the server could not find the requested resource'],
  409: ['Conflict', 'the object has been modified; please apply your changes to the latest version and try again'],
  415: ['UnsupportedMediaType', 'the body of the request was in an unknown format'],
  429: ['TooManyRequests', 'too many requests, please try again later'],
}

/** The form of every refusal. */
function statusBody(
  code: number,
  message = reasons[code]?.[1] ?? 'an error on the server',
  reason = reasons[code]?.[0] ?? 'InternalError',
) {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code }
}

/**
 * Starts a double; the caller stops it. A patch needs its content type; `metadata.resourceVersion` in it is compared (409); nothing changed
 * leaves the version as it was; immutable secrets are 422; `dryRun=All` checks and changes nothing. A deployment takes one step of its
 * rollout at each GET, and its pods keep the environment that they started with. From the API reference of Kubernetes 1.3x.
 */
export async function startKubernetes(options: Pick<DoubleOptions, 'tls'> = {}): Promise<KubernetesDouble> {
  const secrets = new Map<string, Secret>()
  const deployments = new Map<string, Deployment>()
  const tokens = new Map<string, Token>()
  let newest = 100

  const operation = (
    kind: 'secrets' | 'deployments',
    verb: 'get' | 'patch',
    serve: (asked: Asked, key: string) => Answer | Promise<Answer>,
  ) => {
    const base = kind === 'secrets' ? '/api/v1' : '/apis/apps/v1'
    return {
      name: `${kind}.${verb}`,
      method: verb.toUpperCase(),
      path: new RegExp(`^${base}/namespaces/([^/]+)/${kind}/([^/]+)$`),
      answer: (asked: Asked, [namespace = '', name = '']: readonly string[]): Answer | Promise<Answer> => {
        const token = tokens.get(credentialOf(asked))
        if (token === undefined) return refused(401)
        if (!token.verbs.includes(verb) || (token.namespace !== null && token.namespace !== namespace)) {
          const group = kind === 'secrets' ? '' : 'apps'
          const what = `User "${token.user}" cannot ${verb} resource "${kind}" in API group "${group}" in the namespace "${namespace}"`
          return refused(403, `${kind} "${name}" is forbidden: ${what}`, 'Forbidden')
        }
        const key = `${namespace}/${name}`
        if (!(kind === 'secrets' ? secrets : deployments).has(key)) return refused(404, `${kind} "${name}" not found`)
        return serve(asked, key)
      },
    } satisfies Operation
  }
  const secretView = (key: string): object => {
    const [namespace, name] = key.split('/')
    const { data, resourceVersion, immutable } = found(secrets, key)
    const metadata = { name, namespace, uid: `uid-of-${name}`, resourceVersion: String(resourceVersion) }
    return { kind: 'Secret', apiVersion: 'v1', metadata, data, type: 'Opaque', ...(immutable && { immutable }) }
  }
  const isDry = ({ url }: Asked) => url.searchParams.get('dryRun') === 'All'
  const patchSecret = (asked: Asked, key: string): Answer => {
    const secret = found(secrets, key)
    const wrong = patchFault(asked, String(secret.resourceVersion))
    if (wrong !== null) return wrong
    const { data = {}, stringData = {} } = jsonOf<SecretPatch>(asked)
    const next: Record<string, string> = { ...secret.data }
    for (const [name, value] of Object.entries(data)) {
      if (value === null) delete next[name]
      else if (isBase64(value)) next[name] = value
      else return refused(400, 'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0')
    }
    for (const [name, value] of Object.entries(stringData)) next[name] = Buffer.from(value).toString('base64')
    const isSame = JSON.stringify(sorted(next)) === JSON.stringify(sorted(secret.data))
    const invalid = invalidity(next, secret.immutable && !isSame)
    if (invalid !== null) return refused(422, `Secret "${key.split('/')[1]}" is invalid: ${invalid}`, 'Invalid')
    if (!isSame && !isDry(asked)) Object.assign(secret, { data: next, resourceVersion: ++newest })
    return { status: 200, body: secretView(key), made: [`v${secret.resourceVersion}`] }
  }
  const patchDeployment = (asked: Asked, key: string): Answer => {
    const deployment = found(deployments, key)
    const wrong = patchFault(asked, deployment.resourceVersion)
    if (wrong !== null) return wrong
    const { spec = {} } = jsonOf<DeploymentPatch>(asked)
    const next = merged(deployment.spec, spec) as DeploymentSpec
    const isSame = JSON.stringify(next) === JSON.stringify(deployment.spec)
    if (!isSame && !isDry(asked)) deployment.change(next, String(++newest))
    return { status: 200, body: deployment.view, made: [`generation-${deployment.generation}`] }
  }
  const operations: Operation[] = [
    operation('secrets', 'get', (_, key) => ({ status: 200, body: secretView(key) })),
    operation('secrets', 'patch', patchSecret),
    operation('deployments', 'get', async (_, key) => {
      const deployment = found(deployments, key)
      await deployment.look()
      return { status: 200, body: deployment.view }
    }),
    operation('deployments', 'patch', patchDeployment),
  ]
  const createToken = (namespace: string | null, verbs: readonly string[]) => {
    const token = `eyJhbGciOiJSUzI1NiJ9.${randomBytes(24).toString('base64url')}`
    tokens.set(token, { namespace, verbs, user: `system:serviceaccount:${namespace ?? 'kube-system'}:keyturn` })
    return token
  }
  const secret = (namespace: string, name: string): Env => decoded(found(secrets, `${namespace}/${name}`).data)
  return Object.assign(await startDouble(operations, { ...options, errorBody: statusBody }), {
    token: createToken(null, ['get', 'patch']),
    createToken,
    secret,
    createSecret: (namespace: string, name: string, data: Env, { immutable = false } = {}) =>
      void secrets.set(`${namespace}/${name}`, { data: encoded(data), resourceVersion: ++newest, immutable }),
    editElsewhere: (namespace: string, name: string, data: Env) => {
      const before = found(secrets, `${namespace}/${name}`)
      Object.assign(before, { data: { ...before.data, ...encoded(data) }, resourceVersion: ++newest })
    },
    createDeployment: async (namespace: string, name: string, given: DeploymentOptions = {}) => {
      const envNow = () => Object.assign({}, ...(given.secrets ?? []).map((one) => secret(namespace, one))) as Env
      const deployment = new Deployment(namespace, name, given, envNow)
      deployments.set(`${namespace}/${name}`, deployment)
      await deployment.start()
      return deployment
    },
  })
}

const refused = (status: number, message?: string, reason?: string): Answer => ({ status, body: statusBody(status, message, reason) })
const encoded = (data: Env): Data =>
  Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text).toString('base64')]))
const decoded = (data: Data): Env =>
  Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, 'base64').toString()]))
const sorted = (data: Data) => Object.entries(data).sort(([one], [other]) => (one < other ? -1 : 1))
const isBase64 = (text: unknown): boolean => typeof text === 'string' && Buffer.from(text, 'base64').toString('base64') === text

function found<T>(all: ReadonlyMap<string, T>, key: string): T {
  const one = all.get(key)
  if (one === undefined) throw new Error(`the test made no "${key}"`)
  return one
}

/** Why a patch is not taken, whatever it would change. */
function patchFault(asked: Asked, resourceVersion: string): Answer | null {
  const type = asked.headers['content-type'] ?? ''
  // The third of its types is a list of steps, which this double does not do; an object sent as one is what the real one refuses, too.
  if (type === 'application/json-patch+json') return refused(400, 'error decoding patch: json: cannot unmarshal object into Go value')
  if (!/^application\/(strategic-)?merge-patch\+json$/.test(type)) return refused(415)
  const { metadata } = jsonOf<{ metadata: Meta }>(asked)
  return metadata?.resourceVersion !== undefined && metadata.resourceVersion !== resourceVersion ? refused(409) : null
}

function invalidity(data: Data, isForbidden: boolean): string | null {
  if (isForbidden) return 'data: Forbidden: field is immutable when `immutable` is set'
  const odd = Object.keys(data).find((name) => !/^[-._a-zA-Z0-9]{1,253}$/.test(name))
  if (odd !== undefined) return `data[${odd}]: Invalid value: a valid config key must consist of alphanumeric characters, '-', '_' or '.'`
  const bytes = Object.values(data).reduce((sum, text) => sum + Buffer.from(text, 'base64').length, 0)
  return bytes > MOST_BYTES ? `data: Too long: may not be more than ${MOST_BYTES} bytes` : null
}

/** RFC 7396. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const next: Record<string, unknown> = typeof target === 'object' && target !== null ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete next[name]
    else next[name] = merged(next[name], value)
  }
  return next
}
