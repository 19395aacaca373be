import type { Env } from './fly-machine.ts'

export type PodBoot = (env: Env) => Promise<unknown> | unknown

export interface DeploymentOptions {
  readonly replicas?: number
  /** Names of the secrets whose data are the environment of its pods. */
  readonly secrets?: readonly string[]
  /** The program of a pod: called with its environment when it starts. A rejection is a pod that crashes. */
  readonly boot?: PodBoot
  /** How many looks it takes until the controller has seen a change. */
  readonly lag?: number
  /** Changes of the template wait until somebody resumes it. */
  readonly paused?: boolean
}

type Template = { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } }
export type DeploymentSpec = { readonly replicas: number; readonly paused?: boolean; readonly template: Template }

// Of a crashing pod: after so many looks the controller says that the deadline for progress is exceeded.
const DEADLINE_LOOKS = 3

/** A deployment whose controller does one step at each look: sees the change, then replaces one pod after another. */
export class Deployment {
  readonly name: string
  readonly namespace: string
  readonly #options: DeploymentOptions
  readonly #envNow: () => Env
  spec: DeploymentSpec
  generation = 1
  resourceVersion: string
  /** The environment of each pod, as it was when the pod started. */
  readonly pods: Env[] = []
  #observed = 0
  #lag = 0
  #updated = 0
  #crashes = 0
  #isRollout = false

  constructor(namespace: string, name: string, options: DeploymentOptions, envNow: () => Env) {
    this.namespace = namespace
    this.name = name
    this.#options = options
    this.#envNow = envNow
    this.resourceVersion = '1'
    this.spec = { replicas: options.replicas ?? 2, paused: options.paused ?? false, template: { metadata: { annotations: {} } } }
  }

  /** All pods run. */
  async start(): Promise<void> {
    for (let pod = 0; pod < this.spec.replicas; pod++) await this.#startPod(pod)
    this.#updated = this.spec.replicas
    this.#observed = this.generation
  }

  /** Takes a spec; another template begins a rollout. */
  change(spec: DeploymentSpec, resourceVersion: string): void {
    const isRollout = JSON.stringify(spec.template) !== JSON.stringify(this.spec.template)
    this.spec = spec
    this.generation++
    this.resourceVersion = resourceVersion
    this.#lag = this.#options.lag ?? 1
    this.#isRollout ||= isRollout
  }

  async look(): Promise<void> {
    if (this.#observed < this.generation) {
      if (this.#lag-- > 0) return
      this.#observed = this.generation
      // Until here the status was that of before, and looked like a rollout that is over.
      if (!this.#isRollout) return
      this.#isRollout = false
      this.#updated = 0
      this.#crashes = 0
    } else if (this.spec.paused !== true && this.#updated < this.spec.replicas) {
      await this.#startPod(this.#updated).then(
        () => this.#updated++,
        () => this.#crashes++,
      )
    }
  }

  get view(): object {
    const { name, namespace, generation, resourceVersion, spec } = this
    const isStuck = this.#crashes >= DEADLINE_LOOKS
    const isDone = this.#updated === spec.replicas
    const [status, reason] = isStuck
      ? ['False', 'ProgressDeadlineExceeded']
      : ['True', isDone ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated']
    // While one is replaced the older ones serve; a new pod that crashes is there, and is not available.
    const waiting = this.#crashes > 0 && !isDone ? 1 : 0
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, generation, resourceVersion },
      spec,
      status: {
        observedGeneration: this.#observed,
        replicas: spec.replicas + waiting,
        // Zeros are left out on the wire.
        ...(this.#updated + waiting > 0 && { updatedReplicas: this.#updated + waiting }),
        ...(spec.replicas > 0 && { availableReplicas: spec.replicas, readyReplicas: spec.replicas }),
        ...(waiting > 0 && { unavailableReplicas: waiting }),
        conditions: [{ type: 'Progressing', status, reason }],
      },
    }
  }

  async #startPod(index: number): Promise<void> {
    const env = this.#envNow()
    await this.#options.boot?.(env)
    this.pods[index] = env
  }
}
