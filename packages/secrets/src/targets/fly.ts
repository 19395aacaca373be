import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { FlyApp, flyOptions } from '../outside/fly.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import type { Target } from '../secret/target.ts'

export const options = z.strictObject({
  ...flyOptions,
  /** How many machines are replaced at once; 1 unless given. */
  atOnce: z.int().min(1).max(50).optional(),
  /** The longest that all of them may take, in seconds; 600 unless given. */
  seconds: z.int().min(1).max(3_600).optional(),
})

interface Machine {
  readonly id: string
  readonly state: string
  readonly instance_id: string
  readonly host_status?: string
  readonly config: { readonly metadata?: Readonly<Record<string, string>> }
  readonly checks?: readonly { readonly status: string }[]
  readonly events?: readonly { readonly type: string; readonly timestamp: number; readonly request?: { readonly exit_event?: Exit } }[]
}
interface Exit {
  readonly exit_code?: number
  readonly requested_stop?: boolean
}

// In the metadata of a machine: the version of the secrets that it was last updated for, by which a repetition knows what is done.
const MARK = 'keyturn_secrets_version'
const LEASE_SECONDS = 120
const WAIT_SECONDS = 60

/**
 * Machines of an app of Fly: each is updated with the config it has, so that it boots with the secrets of the store `fly`, and the next one
 * follows when it has started and its checks pass. The version of the secrets is named (`min_secrets_version`), since a host may be behind.
 * Machines that are stopped stay so, and will boot with it. Each is changed under its lease.
 *
 * Without the store `fly` in the same secret the newest version is asked for by deleting a secret that is not there.
 * Needs a deploy token of the app. A plain restart would not load secrets. After the sources of fly-go (`flaps`) and flyctl, 2026.
 */
export default function fly(given: z.infer<typeof options>, world: World): Target {
  const app = new FlyApp(given, world)
  const list = async (call: Call): Promise<Machine[]> => {
    const { body } = await app.ask(call, 'machines')
    return (body as Machine[]).filter(({ state, config }) => !/^destroy/.test(state) && !/^fly_app_/.test(groupOf(config)))
  }
  return {
    provider: 'fly',
    callMs: (given.seconds ?? 600) * 1_000,
    check: (call) =>
      findings(async () => {
        const machines = await list(call)
        const lost = machines.filter(({ host_status: status = 'ok' }) => status !== 'ok')
        const found: Finding[] = lost.map(({ id }) => ({
          severity: 'warning',
          sentence: `${app.where}: the host of machine ${id} does not answer`,
        }))
        if (machines.length === 0) found.push({ severity: 'warning', sentence: `${app.where}: there is no machine` })
        return found
      }),
    async deploy(call, { fly: stored = null }) {
      const version = versionOf(app, stored) ?? (await app.setSecrets(call, { KEYTURN_NOTHING: null }))
      const waiting = await list(call)
      const counts = { machines: waiting.length, replaced: 0, stopped: 0 }
      const work = async () => {
        for (let machine = waiting.shift(); machine !== undefined; machine = waiting.shift()) {
          const done = await replace(app, call, { id: machine.id, version }).catch((error: unknown) => {
            // No other machine is begun.
            waiting.length = 0
            throw error
          })
          if (done !== null) counts[done]++
        }
      }
      const workers = await Promise.allSettled(Array.from({ length: given.atOnce ?? 1 }, work))
      const failed = workers.find((worker) => worker.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      return { ...counts, version }
    },
  }
}

const groupOf = ({ metadata }: Machine['config']): string => metadata?.fly_process_group ?? ''

/** The version in `app@7`, where it is one of this app. */
function versionOf({ name }: FlyApp, stored: string | null): number | null {
  const [, app, version] = /^(?:(.+)@)?(\d+)$/.exec(stored ?? '') ?? []
  return version === undefined || (app ?? name) !== name ? null : Number(version)
}

/** What became of a machine: null where there was nothing to do any more. */
async function replace(
  app: FlyApp,
  call: Call,
  { id, version }: { readonly id: string; readonly version: number },
): Promise<'replaced' | 'stopped' | null> {
  const nonce = await takeLease(app, call, id)
  const headers = { 'fly-machine-lease-nonce': nonce }
  try {
    const machine = await machineOf(app, call, id)
    const isDone = Number(machine.config.metadata?.[MARK] ?? -1) >= version
    const isStopped = wasStopped(machine)
    if (isDone && isStopped) return null
    if (isDone) {
      await settled(app, call, machine)
      return null
    }
    const config = { ...machine.config, metadata: { ...machine.config.metadata, [MARK]: String(version) } }
    const body = { config, min_secrets_version: version, skip_launch: isStopped }
    const { body: updated } = await app.ask(call, `machines/${id}`, { method: 'POST', headers, body })
    if (isStopped) return 'stopped'
    await settled(app, call, updated as Machine)
    return 'replaced'
  } finally {
    // It ends by itself; whether it could be given back changes nothing.
    await app.ask(call, `machines/${id}/lease`, { method: 'DELETE', headers }).catch(() => {})
  }
}

/** Whether it is meant to be stopped. One that crashed is not: it may have crashed over the secrets that are to be taken back. */
function wasStopped({ state, events = [] }: Machine): boolean {
  if (!['stopped', 'suspended', 'created'].includes(state)) return false
  const [last] = events.filter(({ type }) => type === 'exit').sort((one, other) => other.timestamp - one.timestamp)
  const { requested_stop: requested = true, exit_code: code = 0 } = last?.request?.exit_event ?? {}
  return requested || code === 0
}

const machineOf = async (app: FlyApp, call: Call, id: string) => (await app.ask(call, `machines/${id}`)).body as Machine

async function takeLease(app: FlyApp, call: Call, id: string): Promise<string> {
  const { status, body } = await app.ask(call, `machines/${id}/lease`, { method: 'POST', body: { ttl: LEASE_SECONDS }, expect: [409] })
  if (status === 409) throw outside('busy', app.where, `somebody else has the lease of machine ${id}`)
  return String((body as { readonly data?: { readonly nonce?: unknown } }).data?.nonce)
}

/** Waits until the machine runs and its checks pass. @throws `ERR_OUTSIDE_REFUSED` when it has stopped instead */
async function settled(app: FlyApp, call: Call, { id, instance_id: instance }: Machine): Promise<void> {
  const query = new URLSearchParams({ state: 'started', timeout: String(WAIT_SECONDS), instance_id: instance })
  for (;;) {
    const { status } = await app.ask(call, `machines/${id}/wait?${query}`, { expect: [408] })
    const { state, checks = [] } = await machineOf(app, call, id)
    if (status !== 408 && checks.every((check) => check.status === 'passing')) return
    if (['stopped', 'failed', 'destroyed'].includes(state))
      throw outside('refused', app.where, `machine ${id} did not start: it is ${state}`)
    if (await app.pause(call)) throw outside('uncertain', app.where, `machine ${id} was not ready in time`)
  }
}
