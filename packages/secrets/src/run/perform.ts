import { create, sweep } from './creation.ts'
import { deploy, gates, prepare, stage, unstage, write } from './delivery.ts'
import { askPerson, confirm, confirmRemoved, disable, grace, propose, reinstate, remove, revoke, soak, unused, verify } from './ending.ts'
import type { Outcome } from './outcome.ts'
import type { Phase, StepName } from './run.ts'
import type { StepWorld } from './step-world.ts'
import { take } from './taking.ts'

type Kind = StepName extends infer S ? (S extends `${infer K}:${string}` ? K : S) : never

/** What each kind of step does. A step may be tried again after a crash at any point of it. */
const kinds: Record<Kind, (world: StepWorld, phase: Phase) => Promise<Outcome>> = {
  prepare,
  task: askPerson,
  propose,
  create,
  stage,
  take,
  verify,
  write,
  deploy,
  gates,
  grace,
  unused,
  disable,
  soak,
  revoke,
  confirm,
  sweep,
  reinstate,
  unstage,
  remove,
  'confirm-removed': confirmRemoved,
}

/** Tries a step once. @throws PartFailure */
export async function perform(step: StepName, world: StepWorld): Promise<Outcome> {
  const [kind, phase] = step.split(':') as [Kind, Phase | undefined]
  return await kinds[kind](world, phase ?? 'promote')
}
