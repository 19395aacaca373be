import type { Keyturn } from '@keyturn/core'
import type { Run, SecretConfig, SecretStatus, StepRecord } from '@keyturn/secrets'
import type { WireRun, WireRunSummary, WireSecret } from '../wire/secret.ts'

type Action = WireRun['actions'][number]

/** A secret as it is shown: where it stands, and its policy. Of the configuration only names and periods are told. */
export function viewSecret({ config: { secrets = {} } }: Keyturn, status: SecretStatus): WireSecret {
  const { stores = [], after = [], ...policy } = (secrets[status.name] ?? {}) as SecretConfig
  const { every = null, window = null, jitter = null, grace = null, soak = null, deadline = null, patience = null } = policy
  const { targets, gates, troubles, every: _, ...rest } = status
  return {
    ...rest,
    stores: stores.map(({ store, values }) => ({ store, names: Object.keys(values) })),
    targets: [...targets],
    gates: [...gates],
    troubles: [...troubles],
    policy: { every, window, jitter, grace, soak, deadline, patience, after: [...after] },
  }
}

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())
const over = (state: Run['state']): boolean => state === 'completed' || state === 'rolled-back' || state === 'cancelled'

const isSync = ({ steps }: Pick<Run, 'steps'>): boolean => steps.includes('write:sync')

/** A run without its steps. Ids of sealed values stay here. */
export function viewSummary(run: Run): WireRunSummary {
  const { id, secret, rotator, state, direction, note, startedBy, facts } = run
  return {
    ...{ id, secret, rotator, state, direction, note, startedBy },
    kind: isSync(run) ? 'sync' : 'rotation',
    step: over(state) ? null : (run.steps[run.position] ?? null),
    createdAt: new Date(run.createdAt).toISOString(),
    endedAt: iso(run.endedAt),
    wakeAt: iso(run.wakeAt),
    oldId: facts.oldId ?? null,
    newId: facts.newId ?? null,
  }
}

/** A run with its steps: what was done, what goes on, and what comes. */
export function viewRun({ run, steps }: { readonly run: Run; readonly steps: readonly StepRecord[] }): WireRun {
  const { facts } = run
  // Made by a person, or ended by one: then nothing is pasted.
  const task = over(run.state) ? undefined : facts.task
  return {
    ...viewSummary(run),
    steps: sequence(run, steps),
    task:
      task === undefined
        ? null
        : {
            title: task.title,
            instructions: task.instructions,
            url: task.url ?? null,
            paste: task.paste.map(({ part, label, pattern = null }) => ({ part, label, pattern })),
            until: new Date(task.until).toISOString(),
          },
    asks: over(run.state) ? [] : [...(facts.asks?.ids ?? [])],
    actions: actionsOf(run),
  }
}

/** Steps on the way back are numbered from here. */
const backFrom = 100

function sequence(run: Run, records: readonly StepRecord[]): WireRun['steps'] {
  const first = run.direction === 'back' ? backFrom : 0
  const coming = new Map(over(run.state) ? [] : run.steps.map((step, n) => [first + n, step] as const))
  const known = records.map((record): WireRun['steps'][number] => {
    coming.delete(record.number)
    const { number, step, state, tries, begunAt, endedAt, evidence, problem } = record
    const direction = number < backFrom ? 'forward' : 'back'
    return { number, step, direction, state, tries, begunAt: iso(begunAt), endedAt: iso(endedAt), evidence: { ...evidence }, problem }
  })
  const later = [...coming].map(([number, step]): WireRun['steps'][number] => {
    const nothing = { tries: 0, begunAt: null, endedAt: null, evidence: {}, problem: null }
    return { number, step, direction: run.direction, state: 'later', ...nothing }
  })
  return [...known, ...later].sort((one, other) => one.number - other.number)
}

/** What makes sense to ask of a run. What is refused all the same, the engine refuses: it may have gone on meanwhile. */
function actionsOf({ state, direction, steps, position, oldValue, facts }: Run): Action[] {
  if (over(state)) return []
  const at = (step: Run['steps'][number]) => steps.indexOf(step)
  const forward = direction === 'forward'
  const sync = isSync({ steps })
  const pastReturn = sync || (at('revoke') >= 0 && position >= at('revoke'))
  const written = steps.some((step, n) => step.startsWith('write:') && n <= position)
  // What is taken over from a source of truth is made by others: until it is written, nothing has to be taken back.
  const made =
    facts.taken === true ? written : !sync && (position > at('create') || (position === at('create') && facts.step !== undefined))
  const step = steps[position]
  // Something is pasted, be it only the word that something has ended.
  const hasTask = facts.task !== undefined && (step === 'task' || facts.task.paste.length > 0)
  // To try these again at once is to wait again.
  const isResting = state === 'waiting' && (step === 'grace' || step === 'soak')
  return [
    ...(hasTask ? (['provide'] as const) : []),
    ...(state === 'running' || hasTask || isResting ? [] : (['resume'] as const)),
    ...(forward && made && !pastReturn && (oldValue !== null || !written) ? (['rollback'] as const) : []),
    ...(forward && at('grace') >= 0 && position > at('gates:promote') && facts.hurried !== true ? (['revoke'] as const) : []),
    ...(forward && (!made || (facts.taken === true && oldValue === null)) ? (['cancel'] as const) : []),
  ]
}
