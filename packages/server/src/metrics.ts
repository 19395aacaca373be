import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { KeyringStatus } from '@keyturn/core'
import type { SecretStatus } from '@keyturn/secrets'
import { Gauge, Registry } from 'prom-client'
import { viewRotations } from './rotation/view.ts'
import type { Server } from './server.ts'
import type { WireRotation } from './wire/rotation.ts'

/** What the pool of the application says of itself: `pg`'s Pool does. */
export interface PoolCounts {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
}

/** The measurements of a server, read when they are asked for. Names and counts only. */
export class Metrics {
  readonly #server: Server
  readonly #pool: PoolCounts | null
  readonly #registry = new Registry()
  readonly #delay = monitorEventLoopDelay({ resolution: 20 })
  readonly #gauges = new Map<string, Gauge>()

  constructor(server: Server, pool: PoolCounts | null) {
    this.#server = server
    this.#pool = pool
    this.#delay.enable()
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The measurements as Prometheus reads them. */
  async text(): Promise<string> {
    const { keyturn, censuses, state, secrets } = this.#server
    const [keyrings, kept, rotations] = await Promise.all([this.#server.keyrings(), censuses.all(), keyturn.rotations.list({ limit: 200 })])
    const inventory = secrets === null ? [] : await secrets.secrets.list()
    const runs = await Promise.all(inventory.map(({ name }) => secrets?.secrets.history(name)))
    const views = await viewRotations(state, rotations.items)
    for (const gauge of this.#gauges.values()) gauge.reset()
    for (const keyring of keyrings) this.#keyring(keyring)
    for (const [keyring, { census }] of kept) {
      for (const { field, groups, unreadable } of census.fields) {
        for (const { state, values } of groups) this.#add('values', { keyring, field, state: state ?? 'none' }, values)
        this.#add('values', { keyring, field, state: 'unreadable' }, unreadable)
      }
    }
    for (const rotation of views) this.#rotation(rotation)
    for (const secret of inventory) this.#secret(secret)
    for (const { secret, state } of runs.flatMap((each) => each ?? [])) this.#add('secret_runs', { secret, state }, 1)
    this.#process()
    return await this.#registry.metrics()
  }

  close(): void {
    this.#delay.disable()
  }

  #keyring({ name: keyring, versions, due, dueAt }: KeyringStatus): void {
    const active = versions.find(({ state }) => state === 'active')
    if (active?.activatedAt) this.#add('active_key_age_seconds', { keyring }, (Date.now() - Date.parse(active.activatedAt)) / 1000)
    for (const { state } of versions) this.#add('key_versions', { keyring, state }, 1)
    this.#add('due', { keyring }, due.length)
    this.#add('overdue', { keyring }, due.some((sentence) => sentence.startsWith('rotate')) ? 1 : 0)
    if (dueAt !== null) this.#add('due_at_seconds', { keyring }, Date.parse(dueAt) / 1000)
  }

  #rotation({ keyring, state, endedAt, rowsDone, rowsTotal, rowsPerSecond, setAside, conflicts, id }: WireRotation): void {
    this.#add('rotations', { keyring, state }, 1)
    if (endedAt !== null) return
    const of = { keyring, rotation: id }
    if (rowsTotal !== null && rowsDone !== null) this.#add('rotation_progress_ratio', of, rowsTotal === 0 ? 1 : rowsDone / rowsTotal)
    this.#add('rotation_rows_per_second', of, rowsPerSecond ?? 0)
    this.#add('rotation_set_aside', of, setAside)
    this.#add('rotation_conflicts', of, conflicts)
  }

  #secret({ name: secret, dueAt, overdue, troubles }: SecretStatus): void {
    if (dueAt !== null) this.#add('secret_due_seconds', { secret }, (Date.parse(dueAt) - Date.now()) / 1000)
    this.#add('secret_overdue', { secret }, overdue ? 1 : 0)
    for (const condition of troubles) this.#add('secret_troubles', { secret, condition }, 1)
  }

  #process(): void {
    const { runner, secrets, watch, watchRuns } = this.#server
    this.#add('rotations_here', {}, runner.size)
    this.#add('secret_runs_here', {}, secrets?.size ?? 0)
    this.#add('event_streams', {}, watch.size + watchRuns.size)
    this.#add('event_loop_delay_seconds', { quantile: '0.5' }, this.#delay.percentile(50) / 1e9)
    this.#add('event_loop_delay_seconds', { quantile: '0.99' }, this.#delay.percentile(99) / 1e9)
    this.#add('memory_bytes', {}, process.memoryUsage.rss())
    this.#delay.reset()
    if (this.#pool === null) return
    const { totalCount, idleCount, waitingCount } = this.#pool
    for (const [state, count] of Object.entries({ all: totalCount, idle: idleCount, waiting: waitingCount }))
      this.#add('pool_connections', { state }, count)
  }

  #add(name: keyof typeof help, labels: Record<string, string>, value: number): void {
    const known = this.#gauges.get(name)
    const gauge =
      known ?? new Gauge({ name: `keyturn_${name}`, help: help[name], labelNames: Object.keys(labels), registers: [this.#registry] })
    this.#gauges.set(name, gauge)
    gauge.inc(labels, value)
  }
}

const help = {
  values: 'Values by keyring, field and state of their key, of the latest census',
  active_key_age_seconds: 'Age of the active key version of a keyring',
  key_versions: 'Key versions by keyring and state',
  due: 'Things that are due for a keyring, or soon',
  overdue: '1 where a keyring should be rotated now',
  due_at_seconds: 'When the active key version of a keyring is to be replaced',
  rotations: 'Of the latest 200 rotations, those of a keyring in a state',
  rotation_progress_ratio: 'How far an unfinished rotation is in its pass, 0 to 1',
  rotation_rows_per_second: 'How fast an unfinished rotation is',
  rotation_set_aside: 'Values that an unfinished rotation left as they are',
  rotation_conflicts: 'Writes of others that an unfinished rotation met',
  secret_due_seconds: 'Seconds until a secret is due; below zero where it is overdue',
  secret_overdue: '1 where a secret should be rotated now',
  secret_runs: 'Of the latest 50 runs of a secret, those in a state',
  secret_troubles: 'Conditions of a secret that somebody was told of and that are not resolved',
  rotations_here: 'Rotations that run in this process',
  secret_runs_here: 'Runs of secrets that are worked on in this process',
  event_streams: 'Clients that watch a rotation or a run at this process',
  event_loop_delay_seconds: 'Delay of the event loop since it was asked for last',
  memory_bytes: 'Memory of this process',
  pool_connections: 'Connections of the pool to the database',
} as const
