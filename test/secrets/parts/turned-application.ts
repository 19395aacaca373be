import { setTimeout as sleep } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'
import { type Config, type Keyturn, open } from '@keyturn/core'
import { openSecrets, type Run, type SecretConfig, type Secrets } from '@keyturn/secrets'
import type { Pool } from 'pg'
import type { Around } from '../../../packages/secrets/src/run/part-calls.ts'
import { Died } from '../../conformance/secrets/world.ts'

type Base = { readonly pool: Pool } | { readonly pglite: PGlite }
type Sql = (text: string, values?: unknown[]) => Promise<{ rows: Record<string, unknown>[] }>

export interface TurnedOptions {
  readonly base: Base
  readonly config: Config & { readonly secrets: { readonly [name: string]: SecretConfig } }
  /** What a process that starts now finds in its environment. */
  readonly env: () => { readonly [name: string]: string | undefined }
}

/** An application whose own keys a run changes: processes that start, die and go on, and one beside them that reads all the time. */
export class TurnedApplication {
  readonly #options: TurnedOptions
  readonly sql: Sql
  #opened: Keyturn[] = []
  ahead = 0
  around: Around | undefined

  constructor(options: TurnedOptions) {
    this.#options = options
    const { base } = options
    this.sql = async (text, values) => ('pool' in base ? await base.pool.query(text, values) : await base.pglite.query(text, values))
  }

  /** Another process of the application, with the environment of this moment. */
  async process(): Promise<Keyturn> {
    const { base, config, env } = this.#options
    const keyturn = await open(config, { ...base, env: env(), warn: () => {}, leaseMs: 2_000 })
    this.#opened.push(keyturn)
    return keyturn
  }

  /** A process that works on runs. */
  async start(): Promise<{ readonly keyturn: Keyturn; readonly secrets: Secrets }> {
    const { base, env } = this.#options
    const keyturn = await this.process()
    const around: Around = (at, work) => (this.around === undefined ? work() : this.around(at, work))
    const secrets = await openSecrets(keyturn, { ...base, env: env(), ahead: () => this.ahead, around, actor: 'test' })
    return { keyturn, secrets }
  }

  async stop(): Promise<void> {
    for (const keyturn of this.#opened.splice(0)) await keyturn.close()
  }

  /** Puts rows under a field, each value of its own. */
  async fill(keyturn: Keyturn, field: string, table: string, count: number): Promise<void> {
    for (let id = 1; id <= count; id++) {
      const value = await keyturn.field(field).encrypt(`value ${id}`, { id })
      await this.sql(`INSERT INTO ${table} (id, body) VALUES ($1, $2)`, [id, value])
    }
  }

  /** The rows that a process does not open, or opens to something else. */
  async lost(keyturn: Keyturn, field: string, table: string): Promise<unknown[]> {
    const { rows } = await this.sql(`SELECT id, body FROM ${table} ORDER BY id`)
    const bad: unknown[] = []
    for (const { id, body } of rows) {
      const opened = await keyturn
        .field(field)
        .decrypt(String(body), { id })
        .catch((error: Error) => error.message)
      if (opened !== `value ${id}`) bad.push([id, opened])
    }
    return bad
  }

  /**
   * Works on a run until it is over or paused. A process that dies is followed by one with the environment of then; what waits for the real
   * clock gets a moment of it.
   *
   * @param died - what a person does when a process has died, before the next one goes on
   */
  async finish(runId: string, died: (secrets: Secrets) => Promise<unknown> = async () => {}): Promise<Run> {
    let { secrets } = await this.start()
    for (let turns = 0; turns < 400; turns++) {
      const run = await secrets.settle(runId, { waitMs: 0 }).catch(async (error: unknown) => {
        if (!(error instanceof Died) && !(error instanceof Error && 'code' in error && error.code === 'ERR_RUN_LEASE')) throw error
        // Its lease ends, and the longest call that it may have made.
        this.ahead += 4_000_000
        ;({ secrets } = await this.start())
        await died(secrets)
        return null
      })
      if (run === null) continue
      if (run.state !== 'running' && run.state !== 'waiting') return run
      if (run.note?.includes('tried again')) await sleep(200)
      // As a target would, which restarts what was deployed.
      if (run.note?.includes('Restart it')) ({ secrets } = await this.start())
      this.ahead += Math.max(1000, (run.wakeAt ?? 0) - Date.now() - this.ahead)
    }
    throw new Error('the run does not end')
  }
}
