import { type AuditEvent, appendEvent, fail, type Sql } from '@keyturn/core'
import type { Parts } from '../secret/credential.ts'
import type { OpenedSecret } from '../secret/opened-secret.ts'
import type { Ground } from './beginning.ts'
import { type Facts, isOver, type Run } from './run.ts'
import { lease, release, selectRun, updateRun, wishBack } from './run-rows.ts'
import { defaultCallMs } from './step-world.ts'
import { hasEffect, isPastReturn, isSync, noWayBack, stepsBack } from './steps.ts'

/** What a person said about ids that may be of a run. */
export interface Answers {
  /** Ids at the issuer that are of this run: they are ended. */
  readonly remove?: readonly string[]
  /** Ids that belong to others. */
  readonly keep?: readonly string[]
}

interface Acting {
  readonly ground: Ground
  readonly actor: string
  readonly now: number
  readonly secret: OpenedSecret
}

interface Change {
  /** In words, for a refusal. */
  readonly to: string
  readonly action: string
  readonly work: (run: Run) => Run
  /** What else is written. */
  readonly apply?: (sql: Sql, before: Run, after: Run) => Promise<void>
  /** Whether a run that is over may be changed so. */
  readonly over?: (run: Run) => boolean
}

/** Changes a run by a person's word, when nobody works on it. @throws `ERR_RUN_LEASE`, `ERR_RUN_STATE` */
async function change(
  { ground: { state }, actor, now }: Acting,
  runId: string,
  { to, action, work, apply, over = () => false }: Change,
): Promise<Run> {
  const { schema } = state
  const epoch = await lease(state, runId, { epoch: null, now, forMs: 10_000, callMs: defaultCallMs })
  if (epoch === null) throw fail('ERR_RUN_LEASE', runId)
  const run = { ...(await selectRun(state, runId)), epoch }
  try {
    if (isOver(run) && !over(run)) throw fail('ERR_RUN_STATE', runId, run.state, to)
    const next = work(run)
    await state.transaction(async (sql) => {
      await updateRun(sql, schema, next)
      await apply?.(sql, run, next)
      const event: AuditEvent = { actor, action, subject: `secret/${run.secret}`, data: { run: run.id, state: next.state } }
      await appendEvent(sql, schema, event)
    })
    return next
  } finally {
    await release(state, run).catch(() => undefined)
  }
}

/**
 * Gives what a person was asked for. It is sealed at once; whether it works is seen by the steps that follow, and a person is asked again
 * when it does not.
 *
 * @throws `ERR_PROVIDED` for what cannot be it, `ERR_RUN_STATE` where the run asks for nothing
 */
export async function provide(acting: Acting, runId: string, given: Parts): Promise<Run> {
  const { state, values } = acting.ground
  const { facts, state: at, steps, position } = await selectRun(state, runId)
  const step = steps[position]
  if (facts.task === undefined || (step !== 'task' && facts.task.paste.length === 0))
    throw fail('ERR_RUN_STATE', runId, at, 'given a value: it asks for none')
  const parts: Record<string, string> = {}
  for (const { part, label, pattern } of facts.task.paste) {
    const text = (given[part] ?? '').trim()
    if (text === '') throw fail('ERR_PROVIDED', label, 'nothing was given')
    if (/[\p{Cc}]/u.test(text) && !text.startsWith('-----BEGIN '))
      throw fail('ERR_PROVIDED', label, 'it has a line break or a control character in it')
    if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, 'u').test(text))
      throw fail('ERR_PROVIDED', label, 'it does not have the form of one')
    parts[part] = text
  }
  // Its name is not repeated: it may be what was to be pasted.
  if (Object.keys(given).some((part) => !Object.hasOwn(parts, part))) throw fail('ERR_PROVIDED', '…', 'it is not asked for')
  const to = { to: 'given a value', action: 'run.provide' }
  const sameStep = (run: Run) => {
    if (run.steps[run.position] !== step) throw fail('ERR_RUN_STATE', runId, run.state, 'given a value: it asks for none')
    return run
  }
  // A person's word that something has ended is no credential.
  if (step !== 'task' && step !== undefined)
    return await change(acting, runId, { ...to, work: (run) => ({ ...woken(sameStep(run)), facts: { ...run.facts, ended: step } }) })
  const sealed = await values.seal({ id: null, parts })
  return await change(acting, runId, {
    ...to,
    work: (run) => ({ ...woken(sameStep(run)), newValue: sealed.id }),
    apply: async (sql, before) => {
      await values.erase(sql, before.newValue)
      await values.keep(sql, sealed)
    },
  })
}

const woken = (run: Run): Run => ({ ...run, state: 'running', wakeAt: null, note: null })
const fresh = ({ step: _, ...facts }: Facts): Facts => facts

/** Goes on with a run that is paused or waits: the step is tried at once. */
export async function resume(acting: Acting, runId: string, { remove = [], keep = [] }: Answers = {}): Promise<Run> {
  return await change(acting, runId, {
    to: 'resumed',
    action: 'run.resume',
    work: (run) => {
      const asked = run.facts.asks?.ids ?? []
      const odd = [...remove, ...keep].find((id) => !asked.includes(id))
      if (odd !== undefined)
        throw fail('ERR_USAGE', `run ${runId} does not ask about that id. It asks about: ${asked.join(', ') || 'none'}`)
      const open = asked.filter((id) => !remove.includes(id) && !keep.includes(id))
      const { asks: _, ...facts } = fresh(run.facts)
      const isClear = asked.length > 0 && open.length === 0 && remove.length === 0
      const next: Facts = {
        ...facts,
        ...(open.length > 0 ? { asks: { ids: open } } : {}),
        toRemove: [...(facts.toRemove ?? []), ...remove],
        kept: [...(facts.kept ?? []), ...keep],
        ...(isClear ? { answered: (facts.answered ?? 0) + 1 } : {}),
      }
      // One that is over is only swept once more.
      return isOver(run) ? { ...run, facts: next, sweepAt: acting.now } : { ...woken(run), facts: next }
    },
    over: ({ facts }) => facts.asks !== undefined,
  })
}

/**
 * Takes a run back to the credential from before. One that a process works on goes back when the step at which it is has been done.
 *
 * @throws `ERR_RUN_STATE` once the old one is being revoked
 */
export async function rollBack(acting: Acting, runId: string): Promise<Run> {
  const { state } = acting.ground
  const found = await selectRun(state, runId)
  if (!isOver(found) && !isPastReturn(found) && (await wishBack(state, runId, acting.now))) return await selectRun(state, runId)
  return await change(acting, runId, {
    to: 'rolled back',
    action: 'run.roll-back',
    work: (run) => turnedBack(acting, run),
  })
}

function turnedBack({ actor, secret }: Acting, run: Run): Run {
  if (run.direction === 'back') throw fail('ERR_RUN_STATE', run.id, 'on its way back already', 'rolled back')
  if (isPastReturn(run)) throw fail('ERR_RUN_STATE', run.id, 'ending the old credential', 'rolled back')
  const steps = stepsBack(secret, run)
  const stuck = noWayBack(secret, run, steps)
  if (stuck !== null) throw fail('ERR_RUN_STATE', run.id, `one without a way back (${stuck})`, 'rolled back')
  return { ...woken(run), direction: 'back', steps, position: 0, facts: { ...fresh(run.facts), reason: `rolled back by ${actor}` } }
}

/** Ends the grace: the old credential is revoked now, also where somebody still uses it. @throws `ERR_RUN_STATE` before the new one is in use */
export async function revokeNow(acting: Acting, runId: string): Promise<Run> {
  return await change(acting, runId, {
    to: 'ended at once',
    action: 'run.revoke',
    work: (run) => {
      const [grace, promoted] = [run.steps.indexOf('grace'), run.steps.indexOf('gates:promote')]
      if (run.direction === 'back' || run.position <= promoted || grace < 0)
        throw fail('ERR_RUN_STATE', runId, `at ${run.steps[run.position] ?? 'its end'}`, 'made to revoke')
      return { ...woken(run), facts: { ...fresh(run.facts), hurried: true } }
    },
  })
}

/** It takes over a credential from the source of truth, with none before it to go back to: what was written stays, until the next is taken over. */
const isLeft = ({ facts, direction, oldValue }: Run): boolean => facts.taken === true && direction === 'forward' && oldValue === null
const isPromoted = ({ steps, position }: Run): boolean => position > steps.indexOf('write:promote')

/** Ends a run that has changed nothing yet. One that has, or may have, is rolled back, as is one that was given a credential: it is ended. */
export async function cancel(acting: Acting, runId: string): Promise<Run> {
  const { state, values } = acting.ground
  const found = await selectRun(state, runId)
  if (!isSync(found.steps) && !isOver(found) && !isPastReturn(found) && (await wishBack(state, runId, acting.now)))
    return await selectRun(state, runId)
  return await change(acting, runId, {
    to: 'cancelled',
    action: 'run.cancel',
    work: (run) => {
      // What was brought in line so far is as it should be.
      const pasted = run.newValue !== null && run.steps.includes('task')
      if (!isSync(run.steps) && !isLeft(run) && (run.direction === 'back' || pasted || hasEffect(run))) return turnedBack(acting, run)
      const note = `cancelled by ${acting.actor}`
      return { ...run, state: 'cancelled', endedAt: acting.now, wakeAt: null, note, newValue: null }
    },
    apply: async (sql, before, after) => {
      // What is in use by now stays.
      if (after.state === 'cancelled' && !(isLeft(before) && isPromoted(before))) await values.erase(sql, before.newValue)
    },
  })
}
