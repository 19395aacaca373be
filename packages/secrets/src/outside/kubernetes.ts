import type { SecretRef } from '@keyturn/core'
import { z } from 'zod'
import type { Call, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import { type Answer, ask } from './http.ts'

const label = z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, { error: 'expected a name such as "shop" or "shop-db"' })

/** What the store and the target of Kubernetes have in common. */
export const kubernetesOptions = {
  namespace: label,
  name: label,
  /**
   * The API server; that of the cluster we run in unless given. Node must know the authority of its certificate:
   * `NODE_EXTRA_CA_CERTS=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`.
   */
  endpoint: httpUrl.optional(),
  /** A token of a service account; that of the pod we run in unless given. */
  token: secretRef.optional(),
}

interface Options {
  readonly namespace: string
  readonly name: string
  readonly endpoint?: string | undefined
  readonly token?: SecretRef | undefined
}
interface Asking {
  /** Merged into the object; without it the object is read. */
  readonly patch?: object
  /** Checks everything and changes nothing. */
  readonly dry?: boolean
  readonly expect?: readonly number[]
}

const mounted: SecretRef = { file: '/var/run/secrets/kubernetes.io/serviceaccount/token' }

/** One object of a cluster. */
export class KubernetesObject {
  readonly where: string
  readonly #options: Options
  readonly #path: string
  readonly #world: World

  constructor(kind: 'secrets' | 'deployments', options: Options, world: World) {
    const base = kind === 'secrets' ? '/api/v1' : '/apis/apps/v1'
    this.#options = options
    this.#path = `${base}/namespaces/${options.namespace}/${kind}/${options.name}`
    this.#world = world
    this.where = `the API of Kubernetes, ${kind.slice(0, -1)} "${options.namespace}/${options.name}"`
  }

  /** Reads the object, or merges a patch into it (RFC 7396). @throws what `ask` throws, with Kubernetes' reason such as `Forbidden` */
  async ask({ signal }: Call, { patch, dry = false, expect = [] }: Asking = {}): Promise<Answer> {
    const { endpoint = 'https://kubernetes.default.svc', token = mounted } = this.#options
    const url = `${endpoint.replace(/\/$/, '')}${this.#path}${dry ? '?dryRun=All' : ''}`
    const authorization = `Bearer ${await this.#world.read(token)}`
    const codeOf = (body: unknown) => (body as { readonly reason?: unknown }).reason
    const common = { where: this.where, url, signal, expect, codeOf }
    if (patch === undefined) return ask({ ...common, headers: { authorization } })
    return ask({ ...common, method: 'PATCH', body: patch, headers: { authorization, 'content-type': 'application/merge-patch+json' } })
  }
}
