import { randomBytes } from 'node:crypto'
import type { Answer, Asked } from './faults.ts'

export type Env = Readonly<Record<string, string>>

/** The program of a machine: called with the environment of each boot; what it returns is ended before the next one. A rejection is a crash. */
export type Boot = (env: Env) => Promise<{ stop(): Promise<unknown> } | undefined> | { stop(): Promise<unknown> } | undefined

/** A check of the machine's services, as `GET …/machines/{id}` lists it. */
export interface Check {
  readonly name: string
  readonly status: 'passing' | 'warning' | 'critical'
}

export interface MachineOptions {
  /** Variables of its config; secrets of the app come on top of them. */
  readonly env?: Env
  /** A machine that was stopped (by autostop) keeps its config and runs nothing. */
  readonly stopped?: boolean
  /** Its host learns of new secrets late: it boots those it had unless a minimum version is named. */
  readonly staleHost?: boolean
  readonly boot?: Boot
  readonly checks?: (env: Env) => readonly Check[]
}

export type MachineConfig = { readonly env?: Env; readonly [member: string]: unknown }

type Lease = { readonly nonce: string; readonly expiresAt: number }

/** One machine: its config, the environment it booted with, and who may change it. */
export class Machine {
  readonly id = randomBytes(7).toString('hex')
  readonly createdAt = new Date().toISOString()
  readonly isHostStale: boolean
  readonly #boot: Boot
  readonly #checks: NonNullable<MachineOptions['checks']>
  config: MachineConfig
  instanceId = ''
  state = 'created'
  /** What the next boot gets: fixed when the machine is made or updated. */
  injected: Env = {}
  /** What the program that runs was booted with. */
  env: Env = {}
  updatedAt = this.createdAt
  /** The version of the secrets that its host knows. */
  secretsVersion = 0
  lease: Lease | null = null
  /** Settles when the boot in progress is over. */
  booted: Promise<void> = Promise.resolve()
  #program: Awaited<ReturnType<Boot>>
  /** How its programs ended, the newest first, as the API tells it. */
  readonly #events: object[] = []

  constructor({ env = {}, staleHost = false, boot = () => undefined, checks = () => [] }: MachineOptions) {
    this.config = { image: 'registry.fly.io/app:deployment-1', env }
    this.isHostStale = staleHost
    this.#boot = boot
    this.#checks = checks
  }

  /** Takes a config whole and, if asked, replaces the program that runs. */
  update(config: MachineConfig, injected: Env, launch: boolean): void {
    this.config = config
    this.injected = injected
    this.instanceId = `01${randomBytes(12).toString('hex').toUpperCase()}`
    this.updatedAt = new Date().toISOString()
    if (launch) this.launch('replacing')
    else if (this.state === 'created') this.state = 'stopped'
  }

  /** Boots what was injected last, also when secrets have changed since. */
  launch(state = 'starting'): void {
    this.state = state
    this.booted = this.booted.then(async () => {
      await this.#program?.stop()
      this.#program = undefined
      const env = { ...this.config.env, ...this.injected }
      try {
        this.#program = await this.#boot(env)
        this.env = env
        this.state = 'started'
      } catch {
        this.#exited({ exit_code: 1, requested_stop: false })
      }
    })
  }

  async stop(): Promise<void> {
    await this.booted
    await this.#program?.stop()
    this.#program = undefined
    this.#exited({ exit_code: 0, requested_stop: true })
  }

  #exited(exit: { readonly exit_code: number; readonly requested_stop: boolean }): void {
    this.state = 'stopped'
    this.#events.unshift({
      type: 'exit',
      status: 'stopped',
      timestamp: Date.now(),
      request: { exit_event: { ...exit, oom_killed: false } },
    })
  }

  get view(): object {
    const { id, state, config, instanceId, createdAt, updatedAt } = this
    const checks = state === 'started' ? this.#checks(this.env).map((check) => ({ ...check, updated_at: updatedAt })) : []
    const times = { created_at: createdAt, updated_at: updatedAt }
    const place = { region: 'fra', host_status: 'ok', events: [...this.#events] }
    return { id, name: `machine-${id}`, state, instance_id: instanceId, config, checks, ...place, ...times }
  }

  /** A refusal if somebody else holds the lease. */
  refusal(asked: Asked): Answer | null {
    if (this.lease === null || this.lease.expiresAt <= Date.now()) return null
    if (asked.headers['fly-machine-lease-nonce'] === this.lease.nonce) return null
    return {
      status: 409,
      body: { error: `machine ID ${this.id} lease currently held by another, expires at ${this.leaseView.expires_at}` },
    }
  }

  take(ttlSeconds: number): void {
    this.lease = { nonce: this.lease?.nonce ?? randomBytes(6).toString('hex'), expiresAt: Date.now() + ttlSeconds * 1000 }
  }

  get leaseView(): { readonly nonce: string; readonly expires_at: number; readonly owner: string } {
    return { nonce: this.lease?.nonce ?? '', expires_at: Math.floor((this.lease?.expiresAt ?? 0) / 1000), owner: 'deploy@example.test' }
  }

  /** Holds the answer until the machine is in one of the states, at most so many seconds. */
  async wait(states: readonly string[], version: string | null, timeoutSeconds: number): Promise<Answer> {
    if (version !== null && version !== this.instanceId) return { status: 404, body: { error: 'machine version not found' } }
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutSeconds * 1000)
    })
    await Promise.race([this.booted, deadline])
    clearTimeout(timer)
    // A machine whose boot is over does not change any more by itself: no reason to hold the caller for the rest of its time.
    if (states.includes(this.state)) return { status: 200, body: { ok: true } }
    const error = `deadline_exceeded: machine failed to reach desired state, ${states.join(', ')}, currently ${this.state}`
    return { status: 408, body: { error } }
  }
}
