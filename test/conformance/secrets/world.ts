import type { PGlite } from '@electric-sql/pglite'
import { type Config, type Keyturn, open } from '@keyturn/core'
import { openSecrets, type Run, type SecretConfig, type Secrets, sealedSecrets } from '@keyturn/secrets'
import type { Pool } from 'pg'
import { PartFailure } from '../../../packages/secrets/src/run/outcome.ts'
import type { Around } from '../../../packages/secrets/src/run/part-calls.ts'

const rootKey = '5e'.repeat(32)

export interface WorldOptions {
  readonly pglite: PGlite
  /** The database of the application, where it is a Postgres: `pglite` is left alone then. */
  readonly pool?: Pool
  /** What the application has beside its secrets. */
  readonly application?: Partial<Pick<Config, 'fields' | 'keyrings'>>
  readonly secrets: { readonly [name: string]: SecretConfig }
  readonly alerts?: readonly object[]
  readonly limits?: { readonly [provider: string]: object }
  readonly env?: { readonly [name: string]: string | undefined }
  readonly around?: Around
}

/** What a person does about a run; false when nothing. */
type Answer = (run: Run, secrets: Secrets) => Promise<boolean>

/** Thrown where a test lets the process die: nothing catches it, and nobody tidies up. */
export class Died extends Error {}

/** The answer of a call that took effect is lost. */
export const lost = () => new PartFailure('uncertain', 'the answer was lost')

/** An application with secrets on an embedded database, whose process can die and whose clock can jump. */
export class SecretsWorld {
  readonly #options: WorldOptions
  #keyturn: Keyturn | null = null
  readonly #others: Keyturn[] = []
  /** Added to the clock, in milliseconds. */
  ahead = 0
  /** Stands around the calls to parts. */
  around: Around | undefined

  constructor(options: WorldOptions) {
    this.#options = options
    this.around = options.around
  }

  /** What a process of the application has after its start; the one before is forgotten, as after a crash. */
  async start(): Promise<Secrets> {
    await this.stop()
    const [keyturn, secrets] = await this.#open()
    this.#keyturn = keyturn
    return secrets
  }

  /** What another process of the application has, which goes on beside the first. */
  async beside(): Promise<Secrets> {
    const [keyturn, secrets] = await this.#open()
    this.#others.push(keyturn)
    return secrets
  }

  async #open(): Promise<[Keyturn, Secrets]> {
    const { pglite, pool, application, secrets, alerts = [], env = {}, limits = {} } = this.#options
    const config = {
      keyrings: { app: { root: { env: 'ROOT' } }, ...application?.keyrings },
      fields: { ...sealedSecrets('app'), ...application?.fields },
      secrets,
      alerts,
      limits,
    }
    const given = { ...env, ROOT: rootKey }
    const database = pool === undefined ? { pglite } : { pool }
    const keyturn = await open(config, { ...database, env: given, warn: () => {} })
    const around: Around = (at, work) => (this.around === undefined ? work() : this.around(at, work))
    try {
      return [keyturn, await openSecrets(keyturn, { ...database, env: given, ahead: () => this.ahead, around, actor: 'test' })]
    } catch (error) {
      await keyturn.close()
      throw error
    }
  }

  async stop(): Promise<void> {
    for (const keyturn of [this.#keyturn, ...this.#others.splice(0)]) await keyturn?.close()
    this.#keyturn = null
  }

  /**
   * Works on a run until it is over or paused, letting time pass as fast as it must; a process that dies is followed by another.
   *
   * @param answer - what a person does when the run is paused or has a task; false leaves it
   */
  async finish(runId: string, answer?: Answer, until?: { readonly turns?: number }): Promise<Run>
  /** @returns null when the process died: nobody goes on */
  async finish(runId: string, answer: Answer, until: { readonly once: true }): Promise<Run | null>
  async finish(
    runId: string,
    answer: Answer = async () => false,
    { once, turns: atMost = 500 }: { readonly once?: true; readonly turns?: number } = {},
  ): Promise<Run | null> {
    let secrets = await this.start()
    for (let turns = 0; turns < atMost; turns++) {
      const run = await secrets.settle(runId, { waitMs: 0 }).catch(async (error: unknown) => {
        if (once && error instanceof Died) return 'died' as const
        if (!(error instanceof Died) && !(error instanceof Error && 'code' in error && error.code === 'ERR_RUN_LEASE')) throw error
        this.ahead += 1_200_000
        secrets = await this.start()
        return null
      })
      if (run === 'died') return null
      if (run === null) continue
      if (run.state === 'paused' || run.facts.task !== undefined) {
        if (await answer(run, secrets)) continue
        if (run.state === 'paused') return run
      }
      if (run.state !== 'running' && run.state !== 'waiting') return run
      this.ahead += Math.max(1000, (run.wakeAt ?? 0) - Date.now() - this.ahead)
    }
    throw new Error('the run does not end')
  }

  /** Everything that stands in the state and may be read by others: to look for secrets in it. */
  async written(): Promise<string> {
    const tables = ['secret', 'secret_run', 'secret_step', 'secret_notice', 'secret_trouble', 'audit_event', 'sealed']
    const texts: string[] = []
    for (const table of tables) texts.push(JSON.stringify(await this.#rows(`SELECT * FROM keyturn.${table}`)))
    // Bytes, in which a text would not be found otherwise.
    texts.push(JSON.stringify(await this.#rows(`SELECT name, encode(value, 'escape') AS value FROM keyturn.setting`)))
    return texts.join('\n')
  }

  async #rows(query: string): Promise<readonly { readonly count?: number }[]> {
    const { pglite, pool } = this.#options
    return pool === undefined ? (await pglite.query<{ count?: number }>(query)).rows : (await pool.query(query)).rows
  }

  /** How many credentials are sealed. */
  async sealed(): Promise<number> {
    const [row] = await this.#rows('SELECT count(*)::int AS count FROM keyturn.sealed')
    return row?.count ?? -1
  }
}
