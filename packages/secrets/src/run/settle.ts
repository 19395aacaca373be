import type { AuditEvent, Sql } from '@keyturn/core'
import type { Condition } from '../secret/alert.ts'
import type { OpenedAlert, OpenedSecret } from '../secret/opened-secret.ts'
import { backOff } from './back-off.ts'
import { type Telling, tell, troubles } from './notices.ts'
import type { Outcome } from './outcome.ts'
import { type Facts, numberOf, type Run, type StepFacts, type StepName, type StepRecord } from './run.ts'
import { fromMs } from './run-rows.ts'
import type { SealedValues } from './sealed-values.ts'
import { isPastReturn, isSync, noWayBack, stepsBack } from './steps.ts'

interface Applying {
  readonly schema: string
  readonly values: SealedValues
  readonly alerts: readonly OpenedAlert[]
  readonly now: number
}

/** What a run becomes by an outcome: everything that is written in one transaction. */
export interface Settled {
  readonly run: Run
  readonly record: StepRecord | null
  readonly event: AuditEvent | null
  /** What else is written: the current credential, erased values, notices. */
  apply(sql: Sql, applying: Applying): Promise<void>
}

interface Circumstances {
  readonly now: number
  readonly outcome: Outcome
  readonly step: StepName | undefined
  readonly secret: OpenedSecret
}

/** Steps that must be done some day, whatever it takes: what they are for would be forgotten. */
const never: readonly (StepName | undefined)[] = ['revoke', 'confirm', 'remove', 'confirm-removed', 'sweep', 'reinstate', 'unstage']
const isNeverGivenUp = (run: Run, step: StepName | undefined) => run.direction === 'back' || never.includes(step)

/** Decides what an outcome makes of a run. Touches nothing. */
export function settle(run: Run, circumstances: Circumstances): Settled {
  const { outcome, step, now, secret } = circumstances
  if (step === undefined) return finished(run, circumstances)
  const tries: StepFacts = run.facts.step ?? { since: now, tries: 1 }
  const record = (state: StepRecord['state'], problem: string | null): StepRecord => ({
    number: numberOf(run),
    step,
    state,
    tries: tries.tries,
    begunAt: tries.since,
    endedAt: state === 'begun' ? null : now,
    evidence: outcome.is === 'done' ? (outcome.evidence ?? {}) : outcome.is === 'skipped' ? { why: outcome.why } : {},
    problem,
  })
  switch (outcome.is) {
    case 'done':
    case 'skipped':
      return advanced(run, circumstances, record(outcome.is, null))
    case 'wait': {
      const next: Run = { ...run, state: 'waiting', wakeAt: outcome.until, note: outcome.note, facts: { ...run.facts, ...outcome.facts } }
      const { task } = outcome.facts ?? {}
      const told = task === undefined ? [] : [telling(next, secret, 'task', 'warning', outcome.note)]
      // Nobody did it in time: those who are told of failures hear of it, too.
      if (task !== undefined && now >= task.until) told.push(telling(next, secret, 'failed', 'error', `${outcome.note}. It is overdue`))
      return plain(next, record('begun', null), { step, outcome: 'waits' }, told)
    }
    case 'limited':
      return limited(run, circumstances, { step, tries, record: record('begun', null) }, outcome)
    case 'again': {
      const withinMs = outcome.withinMs ?? secret.deadlineMs
      // From the first answer of this kind: a process that was dead for a while has not been waiting for it.
      const settled = tries.settled ?? now
      const over = now - settled >= withinMs
      if (over && !isNeverGivenUp(run, step)) return turned(run, circumstances, record('failed', outcome.sentence), outcome.sentence)
      const wakeAt =
        now + backOff(tries.tries, outcome.afterMs, isNeverGivenUp(run, step) ? undefined : Math.max(1000, Math.min(300_000, withinMs / 4)))
      const facts = { ...run.facts, step: { ...tries, settled } }
      const next: Run = { ...run, state: 'waiting', wakeAt, facts, note: `${step} is tried again: ${outcome.sentence}` }
      const told = over ? [telling(next, secret, conditionOf(run, step), 'error', `${outcome.sentence}. It is tried again`)] : []
      return plain(next, record('begun', outcome.sentence), { step, outcome: 'again', tries: tries.tries }, told)
    }
    case 'failed':
      return turned(run, circumstances, record('failed', outcome.sentence), outcome.sentence)
    case 'pause':
      return paused(run, circumstances, record('begun', outcome.note), {
        note: outcome.note,
        ...(outcome.facts && { facts: outcome.facts }),
      })
    case 'ask-again':
      return askedAgain(run, circumstances, record('failed', outcome.sentence), outcome.sentence)
  }
}

/** Its provider has no room: the step is as it was before the try. */
function limited(
  run: Run,
  { now, secret }: Circumstances,
  { step, tries, record }: { readonly step: StepName; readonly tries: StepFacts; readonly record: StepRecord },
  { until, why }: { readonly until: number; readonly why: string },
): Settled {
  const facts: Facts = { ...run.facts, step: { ...tries, tries: tries.tries - 1, limitedAt: now } }
  const next: Run = { ...run, state: 'waiting', wakeAt: until, facts, note: `${step} waits for its turn: ${why}` }
  const waitedMs = tries.limitedMs ?? 0
  // What must be done some day is late all the same.
  const late = waitedMs >= secret.deadlineMs && isNeverGivenUp(run, step)
  const told = late ? [telling(next, secret, conditionOf(run, step), 'warning', `${why}. ${step} waits for its turn`)] : []
  const settled = plain(next, { ...record, tries: tries.tries - 1 }, { step, outcome: 'limited' }, told)
  // On record once for each step: it may be asked many times.
  return waitedMs > 0 ? { ...settled, event: null } : settled
}

/** The step is done; the next one is due. */
function advanced(run: Run, { outcome, step, now }: Circumstances, record: StepRecord): Settled {
  const { step: _, task, ended: __, ...facts } = run.facts
  const kept: Facts = step === 'task' || step === 'revoke' || step === 'remove' ? facts : { ...facts, ...(task && { task }) }
  const deployed = step?.startsWith('deploy:') ? { deployedAt: now } : {}
  const next: Run = {
    ...run,
    state: 'running',
    note: null,
    wakeAt: null,
    position: run.position + 1,
    facts: { ...kept, ...(outcome.is === 'done' ? outcome.facts : {}), ...deployed },
  }
  const settled = plain(next, record, { step: String(step), outcome: outcome.is })
  if (step !== 'write:promote' && step !== 'write:back') return settled
  const [value, id] = step === 'write:promote' ? [run.newValue, next.facts.newId] : [run.oldValue, next.facts.oldId]
  return {
    ...settled,
    async apply(sql, { schema }) {
      await sql.query(
        `UPDATE ${schema}.secret SET value_id = $2::text, credential_id = $3::text, since = ${fromMs('$4')}, run_id = $5::text WHERE name = $1::text`,
        [run.secret, value, id ?? null, String(now), run.id],
      )
    },
  }
}

/** The run goes back; where there is no way back, somebody must look. */
function turned(run: Run, circumstances: Circumstances, record: StepRecord, sentence: string): Settled {
  const { secret, step } = circumstances
  if (run.direction === 'back' || isPastReturn(run))
    return paused(run, circumstances, record, { note: `${step} failed: ${sentence}. Mend it, then resume the run` })
  const steps = stepsBack(secret, run)
  const stuck = noWayBack(secret, run, steps)
  if (stuck !== null)
    return paused(run, circumstances, record, {
      note: `${step} failed: ${sentence}. There is no way back: ${stuck}. Mend it and resume the run`,
    })
  const back: Run = {
    ...run,
    state: 'running',
    direction: 'back',
    steps,
    position: 0,
    note: null,
    wakeAt: null,
    facts: { ...withoutStep(run.facts), reason: sentence },
  }
  const condition = conditionOf(run, step)
  return plain(back, record, { step: String(step), outcome: 'failed' }, [
    telling(back, secret, condition, 'error', `${step} failed: ${sentence}. The run goes back to the credential from before`),
  ])
}

function paused(
  run: Run,
  { secret, step }: Circumstances,
  record: StepRecord,
  { note, facts }: { note: string; facts?: Partial<Facts> },
): Settled {
  const next: Run = { ...run, state: 'paused', note, wakeAt: null, facts: { ...withoutStep(run.facts), ...facts } }
  const condition = conditionOf(run, step)
  return plain(next, record, { step: String(step), outcome: 'paused' }, [telling(next, secret, condition, 'critical', note)])
}

/** The person gave something that does not work: it is forgotten, and asked for again. */
function askedAgain(run: Run, { secret, now }: Circumstances, record: StepRecord, sentence: string): Settled {
  const next: Run = {
    ...run,
    state: 'waiting',
    position: run.steps.indexOf('task'),
    newValue: null,
    wakeAt: now,
    note: `what was given does not work: ${sentence}. If it is a credential of the issuer, end it there`,
    facts: { ...withoutStep(run.facts), task: undefined } as never,
  }
  const settled = plain(next, record, { step: 'task', outcome: 'asked again' })
  return { ...settled, apply: async (sql, { values }) => await values.erase(sql, run.newValue), run: { ...next, secret: secret.name } }
}

const finalStates = { forward: 'completed', back: 'rolled-back' } as const
const sweepAfterMs = 900_000

/** All steps are done. What is not needed any more is erased; troubles of the secret are over. */
function finished(run: Run, { now, secret }: Circumstances): Settled {
  const { step: _, ...facts } = run.facts
  const state = finalStates[run.direction]
  const next: Run = {
    ...run,
    state,
    endedAt: now,
    wakeAt: null,
    note: run.direction === 'back' ? (facts.reason ?? null) : null,
    sweepAt: secret.rotator.list === undefined || isSync(run.steps) || run.facts.taken === true ? null : now + sweepAfterMs,
    facts,
    ...(run.direction === 'back' ? { newValue: null } : {}),
  }
  const settled = plain(next, null, { outcome: state })
  return {
    ...settled,
    async apply(sql, applying) {
      const { schema, values, alerts } = applying
      if (isSync(run.steps)) return
      await values.erase(sql, run.direction === 'back' ? run.newValue : run.oldValue)
      if (run.direction === 'back') return
      await sql.query(`UPDATE ${schema}.secret SET last_at = ${fromMs('$2')} WHERE name = $1::text`, [run.secret, String(now)])
      for (const condition of await troubles({ query: sql.query.bind(sql), schema }, run.secret))
        await tell(
          sql,
          schema,
          telling(next, secret, condition, 'info', run.facts.taken ? 'the secret was taken over' : 'the secret was rotated', 'resolved'),
          { alerts, now },
        )
    },
  }
}

const withoutStep = ({ step: _, ...facts }: Facts): Facts => facts

function plain(run: Run, record: StepRecord | null, data: AuditEvent['data'], tellings: readonly Telling[] = []): Settled {
  return {
    run,
    record,
    event: {
      actor: 'library',
      action: actionOf(run, data),
      subject: `secret/${run.secret}`,
      data: { run: run.id, state: run.state, ...data },
    },
    async apply(sql, { schema, alerts, now }) {
      for (const each of tellings) await tell(sql, schema, each, { alerts, now })
    },
  }
}

const actionOf = ({ state, steps, facts }: Run, { outcome }: AuditEvent['data']): string =>
  state === 'completed'
    ? isSync(steps)
      ? 'secret.sync'
      : facts.taken === true
        ? 'secret.take'
        : 'secret.rotate'
    : state === 'rolled-back'
      ? 'secret.rollback'
      : outcome === 'paused'
        ? 'run.pause'
        : 'run.step'

/** What kind of trouble a step is in, for those who are told of some kinds only. */
function conditionOf(run: Run, step: StepName | undefined): Condition {
  if (step === 'revoke' || step === 'confirm' || step === 'sweep' || step === 'remove' || step === 'confirm-removed') return 'revocation'
  if (step?.startsWith('gates:') || step === 'verify') return 'authentication'
  if (step?.startsWith('deploy:')) return 'connection'
  return run.startedBy === 'server:policy' ? 'automatic' : 'failed'
}

function telling(
  run: Run,
  { config }: OpenedSecret,
  condition: Condition,
  severity: Telling['severity'],
  summary: string,
  state: Telling['state'] = 'open',
): Telling {
  return { state, condition, severity, secret: run.secret, runId: run.id, summary, runbook: config.runbook ?? null }
}
