import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { KubernetesObject, kubernetesOptions } from '../outside/kubernetes.ts'
import type { Call, World } from '../secret/call.ts'
import type { Target } from '../secret/target.ts'

export const options = z.strictObject({
  ...kubernetesOptions,
  /** How long to wait between two looks, in milliseconds; 2,000 unless given. */
  pauseMs: z.int().min(1).max(60_000).optional(),
  /** The longest that a rollout may take, in seconds; 600 unless given. */
  seconds: z.int().min(1).max(3_600).optional(),
})

interface Deployment {
  readonly metadata: { readonly generation: number }
  readonly spec: {
    readonly replicas?: number
    readonly paused?: boolean
    readonly template: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } }
  }
  readonly status?: {
    readonly observedGeneration?: number
    readonly replicas?: number
    readonly updatedReplicas?: number
    readonly availableReplicas?: number
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[]
  }
}

// On the template: which deployment of ours its pods are of, so that a repetition restarts nothing again.
const MARK = 'keyturn/attempt'
const RESTARTED = 'kubectl.kubernetes.io/restartedAt'

/**
 * Pods of a Deployment of Kubernetes: all are replaced, as by `kubectl rollout restart`, and it is waited until the controller has seen the change
 * and every replica is new and available. A rollout that exceeds its deadline for progress takes the run back; its older pods go on.
 *
 * Needs a service account with the verbs `get` and `patch` on this Deployment. After the API reference of Kubernetes 1.3x.
 */
export default function kubernetes(given: z.infer<typeof options>, world: World): Target {
  const object = new KubernetesObject('deployments', given, world)
  const read = async (call: Call): Promise<Deployment> => (await object.ask(call)).body as Deployment
  const refusePaused = ({ spec }: Deployment) => {
    if (spec.paused === true) throw outside('refused', object.where, 'it is paused, so that its pods would not be replaced')
  }
  return {
    provider: 'kubernetes',
    callMs: (given.seconds ?? 600) * 1_000,
    check: (call) =>
      findings(async () => {
        const deployment = await read(call)
        refusePaused(deployment)
        await object.ask(call, { patch: { spec: { template: { metadata: { annotations: { [MARK]: call.attempt } } } } }, dry: true })
        const isEmpty = (deployment.spec.replicas ?? 1) === 0
        return isEmpty
          ? [{ severity: 'warning', sentence: `${object.where}: it has no replicas, so that nothing will use the new value` }]
          : []
      }),
    async deploy(call) {
      const before = await read(call)
      refusePaused(before)
      if (before.spec.template.metadata?.annotations?.[MARK] !== call.attempt) {
        const annotations = { [MARK]: call.attempt, [RESTARTED]: new Date(world.now()).toISOString() }
        await object.ask(call, { patch: { spec: { template: { metadata: { annotations } } } } })
      }
      for (;;) {
        const deployment = await read(call)
        const { metadata, spec } = deployment
        if (isRolledOut(deployment)) return { replicas: spec.replicas ?? 1, generation: metadata.generation }
        if (isStuck(deployment)) throw outside('refused', object.where, 'its rollout did not get on: the new pods do not become available')
        refusePaused(deployment)
        const isOver = await sleep(given.pauseMs ?? 2_000, false, { signal: call.signal }).catch(() => true)
        if (isOver) throw outside('uncertain', object.where, 'its rollout was not over in time')
      }
    },
  }
}

/** What the status says is of an older change until the controller has seen this one. */
const isSeen = ({ metadata, status }: Deployment): boolean => (status?.observedGeneration ?? 0) >= metadata.generation

function isRolledOut(deployment: Deployment): boolean {
  const { spec, status = {} } = deployment
  const wanted = spec.replicas ?? 1
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status
  return isSeen(deployment) && updatedReplicas === wanted && replicas === wanted && availableReplicas === wanted
}

const isStuck = (deployment: Deployment): boolean =>
  isSeen(deployment) &&
  (deployment.status?.conditions ?? []).some(({ type, reason }) => type === 'Progressing' && reason === 'ProgressDeadlineExceeded')
