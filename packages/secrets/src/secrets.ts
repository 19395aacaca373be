import { setTimeout as sleep } from 'node:timers/promises'
import { actingOr, fail, isKeyturnError, type Keyturn, migrate, nearest } from '@keyturn/core'
import { pgliteState } from '@keyturn/core/databases/pglite'
import { type PgPool, pgState } from '@keyturn/core/databases/postgres'
import { begin, currentOf, type Ground, looking } from './run/beginning.ts'
import { CallLimits } from './run/call-limits.ts'
import { Engine } from './run/engine.ts'
import { type Answers, cancel, provide, resume, revokeNow, rollBack } from './run/interventions.ts'
import { assertMade, secretMigrations } from './run/migrations.ts'
import { tellForgotten } from './run/notices.ts'
import type { Around } from './run/part-calls.ts'
import { isOver, type Run, type StepRecord } from './run/run.ts'
import { selectRun, selectRuns, selectSteps } from './run/run-rows.ts'
import { SealedValues } from './run/sealed-values.ts'
import { assertWorks } from './run/taking.ts'
import type { Parts } from './secret/credential.ts'
import { type Drift, driftOf } from './secret/drift.ts'
import { type SecretStatus, statusOf } from './secret/inventory.ts'
import { knownValues } from './secret/known-values.ts'
import { type OpenedSecret, openAlerts, openSecret, worldOf } from './secret/opened-secret.ts'
import { assertSound, assertTakeable, assertWritable, notTogether, planOf, type SecretPlan } from './secret/plan.ts'
import { ProviderLimits } from './secret/provider.ts'
import { runbookOf } from './secret/runbook.ts'
import { truthOf } from './secret/truth.ts'

/** What secrets are opened with: the database that `open` of core was given. */
export type SecretsOptions = ({ readonly pool: PgPool } | { readonly pglite: Parameters<typeof pgliteState>[0] }) & {
  /** Where variables are read from; `process.env` unless given. */
  readonly env?: { readonly [name: string]: string | undefined }
  /** Who is named in the audit log; `library` unless given. */
  readonly actor?: string
  /** Makes no tables: for looking. */
  readonly readOnly?: boolean
  /** Added to the clock, in milliseconds: for tests, which let days pass. */
  readonly ahead?: () => number
  /** Stands between a run and every call to a part: for tests, which let a process die there. */
  readonly around?: Around
}

/** How somebody waits for a run. */
export interface SettleOptions {
  /** The longest wait of the run that is slept through; a longer one is left to whoever comes later. 60,000 ms unless given. */
  readonly waitMs?: number
  readonly signal?: AbortSignal
  /** Told after each stretch of work. */
  readonly onProgress?: (run: Run) => void
}

/**
 * The credentials of a configuration and their rotations. Makes its tables where they are missing.
 *
 * @throws `ERR_CONFIG` with the place, `ERR_UNKNOWN_DRIVER` with the names there are, `ERR_STATE_MISSING` where there are no tables to look at
 */
export async function openSecrets(keyturn: Keyturn, options: SecretsOptions): Promise<Secrets> {
  const { config } = keyturn
  const state = 'pool' in options ? pgState(options.pool, config.schema) : pgliteState(options.pglite, config.schema)
  const ahead = options.ahead ?? (() => 0)
  const world = worldOf(options.env ?? process.env, () => Date.now() + ahead(), { keyturn, state })
  const values = new SealedValues(keyturn, state)
  const secrets = new Map<string, OpenedSecret>()
  const limits = new ProviderLimits(config.limits)
  for (const [name, given] of Object.entries(config.secrets ?? {})) secrets.set(name, await openSecret(name, given, world, limits))
  limits.assertUsed()
  const alerts = await openAlerts(config.alerts ?? [], world)
  await (options.readOnly ? assertMade(state) : migrate(state, secretMigrations))
  return new Secrets({ state, values, world, alerts }, secrets, { ...options, ahead })
}

/** Another process, a server above all, was quicker: it goes on with it. */
function leased(error: unknown): void {
  if (!isKeyturnError(error, 'ERR_RUN_LEASE')) throw error
}

/** How many runs one process attends at once. */
const atOnce = 8

/** See `openSecrets`. */
export class Secrets {
  readonly #ground: Ground
  readonly #secrets: ReadonlyMap<string, OpenedSecret>
  readonly #engine: Engine
  readonly #actor: string
  readonly #limits: CallLimits

  constructor(
    ground: Ground,
    secrets: ReadonlyMap<string, OpenedSecret>,
    { actor = 'library', ahead, around }: { actor?: string; ahead: () => number; around?: Around },
  ) {
    this.#ground = ground
    this.#secrets = secrets
    this.#actor = actor
    this.#limits = new CallLimits(ground.state)
    this.#engine = new Engine({ ...ground, ahead, secret: (name) => this.#secret(name), ...(around && { around }) })
  }

  get names(): readonly string[] {
    return [...this.#secrets.keys()]
  }

  /** The names of the secrets of a group. @throws `ERR_UNKNOWN_NAME` where none is of it */
  group(group: string): readonly string[] {
    const all = [...this.#secrets.values()]
    const names = all.filter(({ config }) => config.group === group).map(({ name }) => name)
    if (names.length > 0) return names
    throw fail('ERR_UNKNOWN_NAME', 'group', group, nearest(group, [...new Set(all.flatMap(({ config }) => config.group ?? []))]))
  }

  /** The inventory, by when secrets are due. */
  async list(): Promise<SecretStatus[]> {
    const now = await this.#engine.now()
    const found: SecretStatus[] = []
    for (const secret of this.#secrets.values()) found.push(await statusOf(this.#ground.state, secret, now))
    return found.toSorted((one, other) => (one.dueAt ?? '9').localeCompare(other.dueAt ?? '9') || one.name.localeCompare(other.name))
  }

  /** Runs that are not over and whose secret the configuration names no more. Nobody goes on with them, and nobody ends what they made, until it does. */
  async forgotten(): Promise<Run[]> {
    const runs = await selectRuns(this.#ground.state, { where: `state IN ('running','waiting','paused')`, values: [] })
    return runs.filter(({ secret }) => !this.#secrets.has(secret))
  }

  /** @throws `ERR_UNKNOWN_NAME` */
  async status(name: string): Promise<SecretStatus> {
    return await statusOf(this.#ground.state, this.#secret(name), await this.#engine.now())
  }

  /** Says what a rotation would call, and looks whether it could be done. Changes nothing. @throws `ERR_UNKNOWN_NAME` */
  async plan(name: string): Promise<SecretPlan> {
    const secret = this.#secret(name)
    const current = await currentOf(this.#ground, name)
    const others = notTogether(secret, this.#secrets)
    const { state, world } = this.#ground
    const runs = await selectRuns(state, {
      where: `secret = ANY (string_to_array($1::text, ',')) AND state IN ('running','waiting','paused')`,
      values: [others.join(',')],
    })
    return await planOf(secret, {
      ...{ secrets: this.#secrets, current, call: looking(name), read: world.read },
      running: others.filter((other) => runs.some((run) => run.secret === other)),
      known: await knownValues(secret, current, world),
    })
  }

  /**
   * Puts a rotation on record; `settle` works on it, in this process or in any other.
   *
   * @param options.leaked - the secret may be known to others: there is no grace, and those who are to hear of leaks are told
   * @throws `ERR_SECRET_PLAN` where it could not be done, `ERR_RUN_RUNNING` where there is one
   */
  async rotate(name: string, { leaked = false, actor }: { readonly leaked?: boolean; readonly actor?: string } = {}): Promise<Run> {
    const secret = this.#secret(name)
    const now = await this.#engine.now()
    // What it looks at is asked in any case.
    for (const provider of secret.providers.values()) await this.#limits.count(provider, now)
    const plan = await this.plan(name)
    // What is known to others waits for nobody.
    const findings = leaked ? plan.findings.filter(({ place }) => place !== `secrets.${name}.after`) : plan.findings
    assertSound({ ...plan, findings })
    const apart = leaked ? [] : notTogether(secret, this.#secrets)
    return await begin(this.#ground, secret, { actor: actor ?? this.#actor, now: await this.#engine.now(), leaked, apart })
  }

  /**
   * Works on a run until it is over, is paused, or waits for longer than `waitMs`.
   *
   * @throws `ERR_RUN_LEASE` where another process works on it
   */
  async settle(runId: string, { waitMs = 60_000, signal = new AbortController().signal, onProgress }: SettleOptions = {}): Promise<Run> {
    for (;;) {
      const run = await this.#engine.drive(runId, signal)
      onProgress?.(run)
      const forMs = run.wakeAt === null ? Number.POSITIVE_INFINITY : run.wakeAt - (await this.#engine.now())
      if (isOver(run) || run.state === 'paused' || forMs > waitMs || signal.aborted) return run
      await sleep(Math.max(0, forMs), undefined, { signal }).catch(() => undefined)
    }
  }

  /** A run and the steps that are on record. @throws `ERR_UNKNOWN_NAME` */
  async run(runId: string): Promise<{ readonly run: Run; readonly steps: readonly StepRecord[] }> {
    const { state } = this.#ground
    return { run: await selectRun(state, runId), steps: await selectSteps(state, runId) }
  }

  /** The runs of a secret, the newest first. @throws `ERR_UNKNOWN_NAME` */
  async history(name: string, limit = 50): Promise<Run[]> {
    this.#secret(name)
    return await selectRuns(this.#ground.state, {
      where: 'secret = $1::text',
      values: [name],
      limit: Math.max(1, Math.min(200, Math.trunc(limit))),
    })
  }

  /** Gives what a task asks for: `{ value: 'sk-…' }`. @throws `ERR_PROVIDED`, `ERR_RUN_STATE` */
  async provide(runId: string, parts: Parts): Promise<Run> {
    return await provide(await this.#acting(runId), runId, parts)
  }

  /** Goes on with a run that is paused or waits. @throws `ERR_RUN_STATE` when it is over */
  async resume(runId: string, answers: Answers = {}): Promise<Run> {
    return await resume(await this.#acting(runId), runId, answers)
  }

  /** Takes a run back to the credential from before: possible until that one is being revoked. @throws `ERR_RUN_STATE` */
  async rollback(runId: string): Promise<Run> {
    return await rollBack(await this.#acting(runId), runId)
  }

  /** Ends the grace: the old credential is revoked, also where somebody still uses it. @throws `ERR_RUN_STATE` */
  async revoke(runId: string): Promise<Run> {
    return await revokeNow(await this.#acting(runId), runId)
  }

  /** Ends a run that has made nothing yet; rolls back one that has. @throws `ERR_RUN_STATE` */
  async cancel(runId: string): Promise<Run> {
    return await cancel(await this.#acting(runId), runId)
  }

  /**
   * Compares stores with the credentials in use. With `apply` what differs is written, and the targets take it: a run of its own, so that no
   * rotation begins meanwhile. Nothing is rotated. A secret that was never rotated here and has no `first` is left out, and one that has a run.
   *
   * Where a secret has a source of truth, that is what stores are compared with: another credential than the one in use is tried, taken over and
   * deployed, and taken back where consumers are not healthy with it. What is blank there is taken over by nobody.
   *
   * @param options.only - names of secrets; all unless given
   * @returns what was found before anything was written
   * @throws `ERR_SECRET_PLAN` where a store or a target of one of them cannot be reached, a source of truth is blank, or what stands there does not
   * work: then nothing was written anywhere
   */
  async sync({
    only,
    apply = false,
    ...settling
  }: { readonly only?: readonly string[]; readonly apply?: boolean } & SettleOptions = {}): Promise<Drift[]> {
    const found: Drift[] = []
    const differing: OpenedSecret[] = []
    const newer: { readonly secret: OpenedSecret; readonly deployed: boolean }[] = []
    for (const name of only ?? this.names) {
      const secret = this.#secret(name)
      const current = await currentOf(this.#ground, name)
      if ((current === null && truthOf(secret) === null) || (await this.status(name)).run !== null) continue
      const drift = await driftOf(secret, current, looking(name))
      found.push(...drift)
      const states = new Set(drift.map(({ state }) => state))
      if (apply && states.has('empty')) await assertWorks(secret, looking(name))
      states.delete('same')
      // Where every store holds it already, nobody has to take it.
      if (states.delete('new')) newer.push({ secret, deployed: states.size > 0 })
      else if (states.size > 0) differing.push(secret)
    }
    if (!apply) return found
    for (const { secret } of newer) {
      assertTakeable(await this.plan(secret.name))
      await assertWorks(secret, looking(secret.name))
    }
    // Of all before the first is written: one that cannot be would leave the others half way.
    for (const { name } of differing) assertWritable(await this.plan(name))
    for (const { secret, deployed } of newer) {
      const { id } = await begin(this.#ground, secret, { actor: this.#actor, now: await this.#engine.now(), taking: { deployed } })
      await this.settle(id, settling)
    }
    const runs: string[] = []
    for (const secret of differing)
      runs.push((await begin(this.#ground, secret, { actor: this.#actor, now: await this.#engine.now(), sync: true })).id)
    // All stores first: one application may read several of them, and is not well until all are right.
    for (const id of runs)
      await this.#engine.drive(id, settling.signal ?? new AbortController().signal, { until: 'deploy:sync' }).catch(leased)
    for (const id of runs) await this.settle(id, settling).catch(leased)
    return found
  }

  /** A runbook in Markdown, for all secrets unless some are named. Holds no values. @throws `ERR_UNKNOWN_NAME` */
  async runbook(only?: readonly string[]): Promise<string> {
    const named = only?.map((name) => this.#secret(name).name)
    const entries = (await this.list())
      .filter(({ name }) => named?.includes(name) ?? true)
      .map(async (status) => ({ secret: this.#secret(status.name), status, current: await currentOf(this.#ground, status.name) }))
    return await runbookOf(await Promise.all(entries), {
      alerts: this.#ground.alerts.map(({ config }) => config),
      now: await this.#engine.now(),
    })
  }

  /** Begins what is due by itself. @returns the runs begun */
  async beginDue(actor = 'server:policy'): Promise<Run[]> {
    const begun: Run[] = []
    const faults: unknown[] = []
    const all = await this.list()
    // After the look: what is due at once is due when it was looked at.
    const now = await this.#engine.now()
    for (const status of all) {
      if (status.run !== null || status.beginsAt === null || Date.parse(status.beginsAt) > now) continue
      const { config } = this.#secret(status.name)
      const waitsFor = all.filter(({ name }) => config.after?.includes(name))
      // Those it comes after go first, when they are due as well.
      if (waitsFor.some(({ run, beginsAt }) => run !== null || (beginsAt !== null && Date.parse(beginsAt) <= now))) continue
      // It begins when those whom it asks have room for it.
      if (!(await this.#hasRoom(status.name, now))) continue
      // One that cannot begin keeps no other from it.
      const run = await this.rotate(status.name, { actor }).catch((error: unknown) => {
        if (!isKeyturnError(error, 'ERR_RUN_RUNNING', 'ERR_SECRET_PLAN')) faults.push(error)
        return null
      })
      if (run !== null) begun.push(run)
    }
    if (faults.length > 0) throw faults[0]
    return begun
  }

  /**
   * Goes on with everything that nobody works on: runs whose time has come or whose process died, notices that were not sent, orphans that may
   * have turned up late. Called again and again by whoever stays running.
   *
   * @returns ids of the runs that were worked on
   */
  async attend(signal: AbortSignal = new AbortController().signal): Promise<string[]> {
    const { state } = this.#ground
    const now = String(await this.#engine.now())
    const due = await selectRuns(state, {
      where: `(state = 'running' OR (state = 'waiting' AND round(extract(epoch FROM wake_at) * 1000) <= $1::text::numeric))`,
      values: [now],
    })
    const worked: string[] = []
    const faults: unknown[] = []
    const ours = due.filter(({ secret }) => this.#secrets.has(secret))
    // Some beside each other: a deployment that takes minutes keeps no other run waiting.
    const workers = Array.from({ length: atOnce }, async () => {
      for (let run = ours.shift(); run !== undefined && !signal.aborted; run = ours.shift()) {
        const { id } = run
        await this.#engine.drive(id, signal).then(
          () => worked.push(id),
          (error: unknown) => {
            if (!isKeyturnError(error, 'ERR_RUN_LEASE')) faults.push(error)
          },
        )
      }
    })
    await Promise.all(workers)
    const swept = await selectRuns(state, { where: 'round(extract(epoch FROM sweep_at) * 1000) <= $1::text::numeric', values: [now] })
    for (const { id, secret } of swept)
      if (this.#secrets.has(secret)) await this.#engine.sweep(id, signal).catch((error: unknown) => faults.push(error))
    for (const run of await this.forgotten()) await tellForgotten(this.#ground, run, Number(now))
    await this.#engine.sendNotices(signal)
    // What failed at one run kept no other from going on.
    if (faults.length > 0) throw faults[0]
    return worked
  }

  async #hasRoom(name: string, now: number): Promise<boolean> {
    for (const provider of this.#secret(name).providers.values()) if (!(await this.#limits.hasRoom(provider, now))) return false
    return true
  }

  async #acting(runId: string) {
    const { secret } = await selectRun(this.#ground.state, runId)
    return { ground: this.#ground, actor: actingOr(this.#actor), now: await this.#engine.now(), secret: this.#secret(secret) }
  }

  #secret(name: string): OpenedSecret {
    const found = this.#secrets.get(name)
    if (found === undefined) throw fail('ERR_UNKNOWN_NAME', 'secret', name, nearest(name, this.names))
    return found
  }
}
