import type { OpenedSecret } from '../secret/opened-secret.ts'
import type { Phase, Run, StepName } from './run.ts'

const deployment = (phase: Phase): StepName[] => [`write:${phase}`, `deploy:${phase}`, `gates:${phase}`]

/**
 * The steps of a rotation, in their order; each is done when the one before it is on record as done.
 *
 *     prepare ▸ task | propose ▸ create ▸ stage ▸ verify ▸ announce ▸ promote ▸ grace ▸ unused ▸ withdraw ▸ disable ▸ soak ▸ revoke ▸ confirm ▸ sweep
 *
 * - Where the issuer has one password, the stores are staged before it is made: from that moment the old one is dead.
 * - `announce` stands where templates name `next`, `withdraw` where they name `previous`: three deployments for values that consumers share,
 *   so that none makes with the new one what another cannot read.
 * - `revoke` is the first step from which there is no way back; everything before it has one (`stepsBack`).
 */
export function stepsForward(secret: OpenedSecret, { hasOld }: { readonly hasOld: boolean }): StepName[] {
  const { rotator, stores, slots, soakMs } = secret
  const staged: StepName[] = stores.some(({ store }) => store.stage !== undefined) ? ['stage'] : []
  const made: StepName[] = rotator.task ? ['task'] : rotator.propose ? ['propose'] : []
  const creation: StepName[] = rotator.overlap || rotator.propose === undefined ? ['create', ...staged] : [...staged, 'create']
  const issued = rotator.issuer !== false
  const ends = hasOld && issued && rotator.overlap
  // Where nothing but a person can tell whether it has ended, nothing confirms it.
  const confirmed = issued && rotator.unverified !== true
  return [
    'prepare',
    ...made,
    ...creation,
    'verify',
    ...(slots.has('next') ? deployment('announce') : []),
    ...deployment('promote'),
    ...(hasOld && rotator.overlap ? (['grace'] as const) : []),
    ...(ends ? (['unused'] as const) : []),
    ...(slots.has('previous') && hasOld ? deployment('withdraw') : []),
    ...(ends && rotator.disable !== undefined ? (['disable', ...(soakMs > 0 ? (['soak'] as const) : [])] as const) : []),
    ...(ends ? (['revoke'] as const) : []),
    ...(hasOld && confirmed ? (['confirm'] as const) : []),
    'sweep',
  ]
}

const ofTaking: readonly (StepName | undefined)[] = ['prepare', 'verify', 'grace']

/**
 * The steps that take over what stands in the source of truth. It is deployed as a rotation deploys it, and made and ended by others.
 *
 * @param deployed - false where every store holds it already: nobody has to take anything
 */
export function stepsOfTaking(
  secret: OpenedSecret,
  { hasOld, deployed }: { readonly hasOld: boolean; readonly deployed: boolean },
): StepName[] {
  if (!deployed) return ['take', 'verify', 'write:promote']
  const steps = stepsForward(secret, { hasOld }).filter((step) => ofTaking.includes(step) || /^(write|deploy|gates):/.test(step))
  // Nothing is ended after the grace, so that it is for values alone that stay accepted beside the new one.
  const needed = steps.includes('write:withdraw') ? steps : steps.filter((step) => step !== 'grace')
  return needed.flatMap((step) => (step === 'verify' ? ['take', step] : [step]))
}

/** The steps that take a run back from where it is: what was not begun needs nothing. */
export function stepsBack(
  secret: OpenedSecret,
  { steps: forward, position, oldValue, newValue }: Pick<Run, 'steps' | 'position' | 'oldValue' | 'newValue'>,
): StepName[] {
  const { rotator, stores } = secret
  const begun = (step: StepName) => forward.includes(step) && forward.indexOf(step) <= position
  const issued = rotator.issuer !== false
  // What a person gave is valid at its issuer before the run has tried it. What was taken over from the source of truth is not ours to end.
  const made = begun('create') || (forward.includes('task') && newValue !== null)
  const written = forward.some((step) => step.startsWith('write:') && begun(step))
  return [
    ...(!rotator.overlap && begun('create') && oldValue !== null ? (['reinstate'] as const) : []),
    ...(begun('disable') ? (['reinstate'] as const) : []),
    ...(written ? deployment('back') : []),
    ...(begun('stage') && stores.some(({ store }) => store.unstage !== undefined) ? (['unstage'] as const) : []),
    ...(made && issued && rotator.overlap ? (['remove', ...(rotator.unverified ? [] : (['confirm-removed'] as const))] as const) : []),
    ...(begun('create') ? (['sweep'] as const) : []),
  ]
}

/** What brings stores and targets in line with the credential in use: nothing is rotated. */
export const stepsOfSync: readonly StepName[] = deployment('sync')
export const isSync = (steps: readonly StepName[]): boolean => steps.includes('write:sync')

/** Whether the old credential may have been ended: from then on nothing takes it back. */
export function isPastReturn({ steps, position, facts }: Pick<Run, 'steps' | 'position' | 'facts'>): boolean {
  const revoke = steps.indexOf('revoke')
  return isSync(steps) || (revoke >= 0 && (position > revoke || (position === revoke && facts.revoking === true)))
}

/** Why a run cannot be taken back by these steps; null where it can. */
export function noWayBack({ rotator }: OpenedSecret, { oldValue }: Pick<Run, 'oldValue'>, steps: readonly StepName[]): string | null {
  if (oldValue === null && steps.includes('write:back')) return 'what stood there before the first rotation is not known'
  if (!rotator.overlap && steps.includes('reinstate') && rotator.reinstate === undefined)
    return 'nothing makes the old credential work again'
  return null
}

/** Whether a run has changed anything outside, or may have. */
export function hasEffect({ steps, position, facts }: Pick<Run, 'steps' | 'position' | 'facts'>): boolean {
  const [stage, create] = [steps.indexOf('stage'), steps.indexOf('create')]
  const staged = stage >= 0 && (position > stage || (position === stage && facts.step !== undefined))
  return staged || position > create || facts.intentAt !== undefined
}
