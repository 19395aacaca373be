import type { Run, RunState, Secret } from '../secret.ts'

/** How a run stands, and what fill stands for it. */
export const runStates: Record<RunState, { readonly says: string; readonly tone: string; readonly over: boolean }> = {
  running: { says: 'Running', tone: 'active', over: false },
  waiting: { says: 'Waiting', tone: 'retiring', over: false },
  paused: { says: 'Paused', tone: 'unreadable', over: false },
  completed: { says: 'Completed', tone: 'active', over: true },
  'rolled-back': { says: 'Taken back', tone: 'retired', over: true },
  cancelled: { says: 'Cancelled', tone: 'destroyed', over: true },
}
export const isOver = ({ state }: Pick<Run, 'state'>): boolean => runStates[state].over

const steps: { readonly [step: string]: string } = {
  prepare: 'Look at what is there',
  task: 'A person makes the new credential',
  propose: 'Choose the new value',
  create: 'Make the new credential',
  stage: 'Lay it ready in the stores',
  take: 'Read it from its source of truth',
  verify: 'Try the new credential',
  'write:announce': 'Announce it in the stores',
  'deploy:announce': 'Deploy the announcement',
  'gates:announce': 'Look whether all is well',
  'write:promote': 'Put it into the stores',
  'deploy:promote': 'Deploy it',
  'gates:promote': 'Look whether all is well',
  grace: 'Both work for a while',
  unused: 'Look whether the old one is still used',
  'write:withdraw': 'Take the old one out of the stores',
  'deploy:withdraw': 'Deploy without the old one',
  'gates:withdraw': 'Look whether all is well',
  disable: 'Disable the old one',
  soak: 'Wait with the old one disabled',
  revoke: 'Revoke the old one',
  confirm: 'See that the old one is refused',
  sweep: 'Look for what was left behind',
  reinstate: 'Make the old one work again',
  'write:back': 'Put the old one back into the stores',
  'deploy:back': 'Deploy the old one',
  'gates:back': 'Look whether all is well',
  'write:sync': 'Put what is in use into the stores',
  'deploy:sync': 'Deploy what is in use',
  'gates:sync': 'Look whether all is well',
  unstage: 'Clear what was laid ready',
  remove: 'End the new one',
  'confirm-removed': 'See that the new one is refused',
}
/** A step in words. */
export const stepSays = (step: string): string => steps[step] ?? step

/** What a run has come to, in one sentence. */
export function runStanding({ kind, state, step, note, direction }: Pick<Run, 'kind' | 'state' | 'step' | 'note' | 'direction'>): string {
  if (kind === 'sync' && state === 'completed') return 'The stores and targets hold what is in use.'
  if (state === 'completed') return 'The new credential is in use, and the old one is refused.'
  if (state === 'rolled-back') return `The old credential is in use again${note === null ? '.' : `: ${note}.`}`
  if (state === 'cancelled') return 'It was ended before it had changed anything.'
  if (state === 'running') return `${direction === 'back' ? 'On its way back. ' : ''}${stepSays(step ?? '')}…`
  return sentence(note ?? stepSays(step ?? ''))
}

/** Where a secret stands, in a few words. */
export function secretStanding({ run, overdue, troubles }: Secret): { readonly says: string; readonly bad: boolean } {
  if (run?.state === 'paused') return { says: 'paused: somebody must look', bad: true }
  if (run !== null && (run.step === 'task' || troubles.includes('task'))) return { says: 'waits for a person', bad: true }
  if (run !== null) return { says: `rotating: ${stepSays(run.step ?? '').toLowerCase()}`, bad: false }
  if (troubles.length > 0) return { says: 'in trouble', bad: true }
  return overdue ? { says: 'overdue', bad: true } : { says: 'in use', bad: false }
}

/** Overdue first, then by date; those without a date last. */
export const byDue = (one: Secret, other: Secret): number =>
  Number(other.overdue) - Number(one.overdue) ||
  (one.dueAt?.getTime() ?? Number.MAX_VALUE) - (other.dueAt?.getTime() ?? Number.MAX_VALUE) ||
  one.name.localeCompare(other.name)

/** A part by the name of its driver: of a module of the user's, its file. */
export const partSays = (name: string): string => (name.includes('/') ? (name.split('/').at(-1) ?? name).replace(/\.\w+$/, '') : name)

const sentence = (text: string): string => {
  const upper = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.?!…]$/.test(upper) ? upper : `${upper}.`
}
