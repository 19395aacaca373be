import { randomUUID } from 'node:crypto'
import type { Credential, Listed } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'
import { type Outcome, PartFailure } from './outcome.ts'
import type { StepWorld } from './step-world.ts'

/**
 * Makes the new credential.
 *
 * Where we choose it, or a person gave it, a repetition makes the same one. Where the issuer chooses, nobody knows after a crash or a lost
 * answer whether there is another one: what the issuer lists is compared with the list from before, and what is ours and unused is removed. Its
 * value is lost; it is never adopted.
 */
export async function create(world: StepWorld): Promise<Outcome> {
  const { secret, old, made } = world
  const { rotator } = secret
  if (made !== null) {
    const recorded = async () => {
      if (world.run.facts.intentAt === undefined) await world.remember({ intentAt: world.now })
    }
    try {
      return doneWith(await world.call(rotator, (call) => rotator.create(call, made, old), { recorded }))
    } catch (error) {
      if (error instanceof PartFailure && error.kind === 'refused' && rotator.task !== undefined)
        return { is: 'ask-again', sentence: error.message }
      if (error instanceof PartFailure && error.kind === 'busy' && rotator.workMs !== undefined)
        return {
          is: 'again',
          sentence: error.message,
          withinMs: rotator.workMs,
          ...(error.afterMs !== undefined && { afterMs: error.afterMs }),
        }
      throw error
    }
  }
  const unclear = await clearUp(world)
  if (unclear !== null) return unclear
  // The first list of the run stays: one that is taken after an unclear call may show what that call made.
  const before =
    world.run.facts.before !== undefined
      ? world.run.facts.before
      : rotator.list === undefined
        ? null
        : (await listed(world)).map(({ id }) => id)
  const recorded = () => world.remember({ before, intentAt: world.now, calling: true })
  try {
    return doneWith(await world.call(rotator, (call) => rotator.create(call, null, old), { recorded }))
  } catch (error) {
    // It did not happen: the next try need not look for it.
    if (error instanceof PartFailure && error.kind !== 'uncertain' && world.run.facts.calling === true)
      await world.remember({ calling: false })
    throw error
  }
}

/** What the issuer lists. @throws a refusal where an id holds the value of a credential: ids are on record */
async function listed({ secret: { rotator }, old, call }: StepWorld): Promise<readonly Listed[]> {
  const found = await call(rotator, (each) => rotator.list?.(each) ?? none)
  if (found.some(({ id }) => [old].some((known) => known !== null && holdsSecret(rotator, { id, parts: known.parts }))))
    throw new PartFailure('refused', `the rotator lists a credential under its value: ${idsAreShown}`)
  return found
}

/** Why a value can be no id. */
export const idsAreShown = 'ids are kept on record and shown. It has to give another name for it'

/** A shorter text may stand in an id by chance. */
const shortestSecret = 8

/** Whether the id of a credential holds a secret part of it. The id of a role is one of its public parts, whatever its password is. */
export function holdsSecret({ parts }: Pick<Rotator, 'parts'>, { id, parts: given }: Credential): boolean {
  if (id === null || Object.entries(given).some(([part, value]) => parts[part] === 'public' && value === id)) return false
  return Object.entries(given).some(([part, value]) => parts[part] !== 'public' && value.length >= shortestSecret && id.includes(value))
}

const none: Promise<readonly Listed[]> = Promise.resolve([])
const doneWith = (credential: Credential): Outcome => ({
  is: 'done',
  credential,
  facts: { calling: false, newId: credential.id },
  evidence: { id: credential.id },
})

/**
 * Removes what an earlier call of `create` may have made and nobody heard of.
 *
 * @returns null when nothing is left of it; else what the run waits for
 */
export async function clearUp(world: StepWorld): Promise<Outcome | null> {
  const { run, secret, old } = world
  const { rotator } = secret
  if (run.facts.calling !== true) return null
  if (rotator.list === undefined) {
    return {
      is: 'pause',
      note: 'whether the credential was made is not known, and its issuer gives no list. Look there, end what this run made, then resume it',
      facts: { calling: false },
    }
  }
  const { ours, asked } = sort(run, await listed(world), { atOnce: true })
  if (asked.length > 0) {
    return {
      is: 'pause',
      note: `new at the issuer, and maybe of this run: ${asked.join(', ')}. Say which are to be ended and which belong to others: --remove ID, --keep ID`,
      facts: { asks: { ids: asked } },
    }
  }
  for (const id of ours) await world.call(rotator, (call) => rotator.revoke(call, { id, parts: {} }, old))
  const abandoned = [...(run.facts.abandoned ?? []), run.attempt]
  await world.remember({ calling: false, abandoned, removed: [...(run.facts.removed ?? []), ...ours] }, randomUUID())
  return null
}

/**
 * What is new since before: ours by the name it carries or by a person's word; and what might be, which a person is asked about.
 *
 * @param atOnce - it is looked at right after the unclear call: the only new one that has no name and that nobody has used is taken for ours. Later
 * somebody else may have made one by hand
 */
function sort(
  { facts, attempt }: StepWorld['run'],
  listed: readonly Listed[],
  { atOnce }: { readonly atOnce: boolean },
): { readonly ours: string[]; readonly asked: string[] } {
  const known = new Set([...(facts.before ?? []), ...(facts.kept ?? [])])
  const fresh = listed.filter(({ id }) => !known.has(id) && id !== facts.newId)
  const attempts = [attempt, ...(facts.abandoned ?? [])]
  const isNamed = ({ name }: Listed) => name !== null && attempts.some((each) => name.includes(each))
  // Nobody has the value of what we do not know: one in use is somebody's who took our name.
  const isOurs = (each: Listed) => (facts.toRemove ?? []).includes(each.id) || (isNamed(each) && each.used !== true)
  const ours = fresh.filter(isOurs)
  const inUse = fresh.filter((each) => isNamed(each) && !isOurs(each)).map(({ id }) => id)
  const nameless = fresh.filter((each) => each.name === null && !isOurs(each))
  const [only] = nameless
  // Each unclear call made one at most: when as many were ended, a further one is somebody else's.
  const calls = (facts.abandoned ?? []).length + (facts.calling === true ? 1 : 0)
  const unclear = calls - (facts.removed ?? []).length - (facts.answered ?? 0)
  const unambiguous =
    atOnce && nameless.length === 1 && ours.length === 0 && inUse.length === 0 && only !== undefined && only.used === false && unclear > 0
  if (unambiguous) return { ours: [only.id], asked: [] }
  return { ours: ours.map(({ id }) => id), asked: [...inUse, ...(unclear > 0 ? nameless.map(({ id }) => id) : [])] }
}

/**
 * Looks once more for what was made and not heard of: lists of issuers lag.
 *
 * @returns what to do, or what was found
 */
export async function sweep(world: StepWorld): Promise<Outcome> {
  const { run, secret, old, made } = world
  const { rotator } = secret
  const { facts } = run
  // Only where a call was ever unclear can there be something of ours that nobody knows.
  if (rotator.list === undefined || (facts.abandoned ?? []).length === 0) return { is: 'skipped', why: 'no call was unclear' }
  const { ours, asked } = sort(run, await listed(world), { atOnce: false })
  for (const id of ours) await world.call(rotator, (call) => rotator.revoke(call, { id, parts: {} }, run.direction === 'back' ? old : made))
  if (asked.length === 0) return { is: 'done', evidence: { removed: ours.length } }
  return {
    is: 'pause',
    note: `new at the issuer, and maybe of this run: ${asked.join(', ')}. Say which are to be ended and which belong to others: --remove ID, --keep ID`,
    facts: { asks: { ids: asked } },
  }
}
