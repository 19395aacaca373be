import { appendEvent, fail, type Sql, type SqlState } from '@keyturn/core'
import type { Credential } from '../secret/credential.ts'
import type { OpenedAlert, OpenedSecret } from '../secret/opened-secret.ts'
import { holdsSecret, idsAreShown, sweep } from './creation.ts'
import { sendNotices, type Telling, tell } from './notices.ts'
import { Limited, type Outcome, PartFailure } from './outcome.ts'
import { type Around, marginMs, PartCalls } from './part-calls.ts'
import { perform } from './perform.ts'
import { afterLimit, isOver, numberOf, type Run, type StepFacts, type StepName } from './run.ts'
import { beginRevoking, lease, putStep, readNow, release, selectRun, selectRuns, takeWish, updateRun } from './run-rows.ts'
import { scrubbed } from './scrubbed.ts'
import type { Sealed, SealedValues } from './sealed-values.ts'
import { settle } from './settle.ts'
import { attemptOf, defaultCallMs, issuerOf, type StepWorld } from './step-world.ts'
import { isPastReturn } from './steps.ts'

export interface EngineOptions {
  readonly state: SqlState
  readonly values: SealedValues
  readonly alerts: readonly OpenedAlert[]
  /** @throws `ERR_UNKNOWN_NAME` */
  secret(name: string): OpenedSecret
  /** Added to the clock of the state, in milliseconds: tests let days pass. */
  ahead(): number
  /** Stands between the engine and every call to a part: tests kill the process there. */
  around?: Around
}

/** A new credential that is not kept yet, and the one in whose place it is kept: what was proposed or given, before the issuer had it. */
interface Sealing {
  readonly sealed: Sealed
  readonly replaced: string | null
}

/** Takes runs from step to step. All that it knows stands in the state, so that any process goes on where another died. */
export class Engine {
  readonly #options: EngineOptions
  readonly #calls: PartCalls

  constructor(options: EngineOptions) {
    const { state, around } = options
    this.#options = options
    this.#calls = new PartCalls({ state, now: () => this.now(), ...(around && { around }) })
  }

  async now(): Promise<number> {
    return (await readNow(this.#options.state)) + this.#options.ahead()
  }

  /**
   * Works on a run until it is over, waits or is paused.
   *
   * @param options.until - a step before which it stops, too
   * @throws `ERR_RUN_LEASE` where another process works on it
   */
  async drive(runId: string, signal: AbortSignal, { until }: { readonly until?: StepName } = {}): Promise<Run> {
    const { state } = this.#options
    const first = await selectRun(state, runId)
    if (isOver(first) || first.state === 'paused') return first
    const now = await this.now()
    if (first.wakeAt !== null && first.wakeAt > now && first.state === 'waiting') return first
    const epoch = await lease(state, runId, { epoch: null, now, forMs: marginMs, callMs: defaultCallMs })
    if (epoch === null) throw fail('ERR_RUN_LEASE', runId)
    let run: Run = { ...(await selectRun(state, runId)), epoch }
    for (let released = false; !released; ) {
      while (
        !signal.aborted &&
        run.steps[run.position] !== (until ?? null) &&
        (run.state === 'running' || (run.state === 'waiting' && (run.wakeAt ?? 0) <= (await this.now())))
      )
        run = (await takeWish(state, state.schema, run)) ? await this.#turn(run) : await this.#step(run, signal)
      // What somebody wished in the last moment is granted before the lease is given back.
      released = (await this.#release(run)) || !(await takeWish(state, state.schema, run))
      if (!released) run = await this.#turn(run)
    }
    await this.sendNotices(signal)
    return run
  }

  /**
   * Gives the lease back. Not after a call that did not end, nor after an error: then it ends by itself, as if the process had died.
   *
   * @returns false where somebody has wished meanwhile
   */
  async #release(run: Run): Promise<boolean> {
    return this.#calls.wasUnanswered(run.id) || (await release(this.#options.state, run))
  }

  async sendNotices(signal: AbortSignal): Promise<number> {
    return await sendNotices(this.#options.state, this.#options.alerts, { now: await this.now(), signal })
  }

  async #step(run: Run, signal: AbortSignal): Promise<Run> {
    const { state } = this.#options
    const secret = this.#options.secret(run.secret)
    const now = await this.now()
    const step = run.steps[run.position]
    if (step === undefined) return await this.#save(run, now, { is: 'done' }, step)
    if (run.facts.issuer !== undefined && run.facts.issuer !== issuerOf(secret.config)) {
      const note = 'its rotator was configured otherwise when the run began. Put that back until the run is over, then resume it'
      return await this.#save(run, now, { is: 'pause', note }, step)
    }
    const tried = triedAgain(run.facts.step, now)
    const begun: Run = { ...run, state: 'running', note: null, wakeAt: null, facts: { ...run.facts, step: tried } }
    await state.transaction(async (sql) => {
      await updateRun(sql, state.schema, begun)
      await putStep(sql, state.schema, run.id, recordOf(begun, step, { state: 'begun', endedAt: null }))
    })
    const { outcome, after, sealing } = await this.#try(begun, step, { secret, now, signal })
    return await this.#save(after, await this.now(), outcome, step, sealing)
  }

  /** Somebody wants it back. Where it is too late, it goes on. */
  async #turn(run: Run): Promise<Run> {
    if (run.direction === 'back' || isPastReturn(run)) return run
    const step = run.steps[run.position]
    return await this.#save(run, await this.now(), { is: 'failed', sentence: 'somebody takes it back' }, step)
  }

  /** One try of a step. What it remembered in between is in the run that it gives back. */
  async #try(run: Run, step: StepName, { secret, now, signal }: { secret: OpenedSecret; now: number; signal: AbortSignal }) {
    let after = run
    const { values, state } = this.#options
    let isFirst = true
    const waited = (ms: number) => {
      const { step: since } = after.facts
      if (since !== undefined) after = { ...after, facts: { ...after.facts, step: afterLimit(since, ms) } }
    }
    const world: StepWorld = {
      get run() {
        return after
      },
      secret,
      now,
      old: await this.#open(run.oldValue),
      made: await this.#open(run.newValue),
      call: async (part, work, { phase, callMs, recorded } = {}) => {
        const provider = secret.providers.get(part) ?? null
        const attempt = attemptOf(after.attempt, phase)
        const asking = { run: after, provider, callMs: part.callMs ?? callMs, attempt, signal, isFirst, waited, recorded }
        const result = await this.#calls.make(asking, work)
        isFirst = false
        return result
      },
      remember: async (facts, attempt) => {
        after = { ...after, facts: { ...after.facts, ...facts }, attempt: attempt ?? after.attempt }
        await updateRun(state, state.schema, after)
      },
      pastReturn: async () => {
        const ending = { ...after, facts: { ...after.facts, revoking: true } }
        if (!(await beginRevoking(state, ending))) throw new Limited('somebody takes it back', now)
        after = ending
      },
    }
    try {
      const performed = await perform(step, world)
      const outcome = scrubbed(performed, secret.rotator, [
        world.old,
        world.made,
        performed.is === 'done' ? (performed.credential ?? null) : null,
      ])
      // Before any other call: what was made is known to nobody else.
      if (outcome.is === 'done' && outcome.credential !== undefined) {
        const { credential } = outcome
        const sealed = await values.seal(credential)
        const sealing = { sealed, replaced: after.newValue }
        after = { ...after, newValue: sealed.id }
        if (!holdsSecret(secret.rotator, credential)) return { outcome, after, sealing }
        // It was made, and is ended by the way back, which has it sealed. Nothing of it is put on record.
        const refused: Outcome = { is: 'failed', sentence: `the rotator calls the new credential by its value: ${idsAreShown}` }
        return { outcome: refused, after: { ...after, facts: { ...after.facts, calling: false } }, sealing }
      }
      return { outcome, after, sealing: null }
    } catch (error) {
      if (!(error instanceof PartFailure)) throw error
      return { outcome: scrubbed(outcomeOf(error), secret.rotator, [world.old, world.made]), after, sealing: null }
    }
  }

  async #open(id: string | null): Promise<Credential | null> {
    return id === null ? null : await this.#options.values.open(id)
  }

  async #save(run: Run, now: number, outcome: Outcome, step: StepName | undefined, sealing: Sealing | null = null): Promise<Run> {
    const { state, values, alerts } = this.#options
    const { schema } = state
    const after = settle(run, { now, outcome, step, secret: this.#options.secret(run.secret) })
    await state.transaction(async (sql: Sql) => {
      await updateRun(sql, schema, after.run)
      if (sealing !== null) {
        await values.erase(sql, sealing.replaced)
        await values.keep(sql, sealing.sealed)
      }
      if (after.record !== null) await putStep(sql, schema, run.id, after.record)
      await after.apply(sql, { schema, values, alerts, now })
      if (after.event !== null) await appendEvent(sql, schema, after.event)
    })
    return after.run
  }

  /** Looks once more for orphans of a run that is over. */
  async sweep(runId: string, signal: AbortSignal): Promise<void> {
    const { state } = this.#options
    const now = await this.now()
    const epoch = await lease(state, runId, { epoch: null, now, forMs: marginMs, callMs: defaultCallMs })
    if (epoch === null) return
    const found = { ...(await selectRun(state, runId)), epoch }
    const newer = await selectRuns(state, {
      where: `secret = $1::text AND id <> $2::text AND round(extract(epoch FROM created_at) * 1000) >= $3::text::numeric`,
      values: [found.secret, found.id, String(found.createdAt)],
    })
    const swept = newer.every(isOver) ? await this.#sweepNow(found, newer, { now, signal }) : { ...found, sweepAt: now + sweepAgainMs }
    await state.transaction(async (sql) => {
      await updateRun(sql, state.schema, swept)
      if (swept.facts.asks !== undefined) await tell(sql, state.schema, asking(swept), { alerts: this.#options.alerts, now })
      const data = { run: runId, again: swept.sweepAt !== null }
      await appendEvent(sql, state.schema, { actor: 'library', action: 'run.sweep', subject: `secret/${swept.secret}`, data })
    })
    await this.#release(swept)
  }

  /** What newer runs know is no orphan of this one. */
  async #sweepNow(run: Run, newer: readonly Run[], { now, signal }: { now: number; signal: AbortSignal }): Promise<Run> {
    const known = newer.flatMap(({ facts }) => [facts.newId, facts.oldId]).filter((id) => typeof id === 'string')
    const secret = this.#options.secret(run.secret)
    const world: StepWorld = {
      run: { ...run, facts: { ...run.facts, kept: [...(run.facts.kept ?? []), ...known] } },
      secret,
      now,
      old: null,
      made: null,
      call: (part, work) => {
        const provider = secret.providers.get(part) ?? null
        return this.#calls.make({ run, provider, callMs: part.callMs, attempt: run.attempt, signal, isFirst: true, waited: () => {} }, work)
      },
      remember: async () => {},
      pastReturn: async () => {},
    }
    const outcome = await sweep(world).catch((error: unknown): Outcome => {
      if (error instanceof PartFailure) return { is: 'again', sentence: error.message }
      throw error
    })
    if (outcome.is === 'pause') return { ...run, sweepAt: null, note: outcome.note, facts: { ...run.facts, ...outcome.facts } }
    return { ...run, sweepAt: outcome.is === 'again' ? now + sweepAgainMs : null }
  }
}

const sweepAgainMs = 900_000

/** The step as it stands when it is tried once more. */
function triedAgain(before: StepFacts | undefined, now: number): StepFacts {
  const step = before?.limitedAt === undefined ? before : afterLimit(before, Math.max(0, now - before.limitedAt))
  return { ...step, since: step?.since ?? now, tries: (step?.tries ?? 0) + 1 }
}

function outcomeOf(error: PartFailure): Outcome {
  if (error instanceof Limited) return { is: 'limited', until: error.until, why: error.message }
  if (error.kind === 'refused') return { is: 'failed', sentence: error.message }
  return { is: 'again', sentence: error.message, ...(error.afterMs === undefined ? {} : { afterMs: error.afterMs }) }
}

/** A person must say what becomes of credentials that may be of a run which is over. */
const asking = (run: Run): Telling => ({
  ...{ state: 'open', condition: 'revocation', severity: 'critical', secret: run.secret, runId: run.id, runbook: null },
  summary: run.note ?? 'credentials at the issuer may be of this run',
})

function recordOf(run: Run, step: StepName, { state, endedAt }: { state: 'begun'; endedAt: null }) {
  const { since, tries } = run.facts.step ?? { since: 0, tries: 1 }
  return { number: numberOf(run), step, state, tries, begunAt: since, endedAt, evidence: {}, problem: null }
}
