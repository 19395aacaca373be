import { fail, isKeyturnError } from '@keyturn/core'
import { outside } from '../outside/failure.ts'
import type { Call } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { OpenedSecret } from '../secret/opened-secret.ts'
import { faultIn, readTruth, truthOf } from '../secret/truth.ts'
import type { Outcome } from './outcome.ts'
import type { StepWorld } from './step-world.ts'

/**
 * The credential that stands in the source of truth, as its rotator knows it. Changes nothing.
 *
 * @throws a refusal where it is not complete, so that nothing blank is ever taken over, and where the rotator does not know it
 */
export async function heldByTruth(secret: OpenedSecret, call: Call): Promise<Credential> {
  const truth = await readTruth(secret, call)
  const where = `the source of truth of "${secret.name}"`
  if (truth === null) throw outside('refused', where, 'the configuration names none')
  if (truth.empty.length > 0)
    throw outside('refused', where, `nothing stands under "${truth.empty[0]}". Write the credential there; nothing is removed anywhere`)
  const fault = faultIn(truth)
  if (fault !== null) throw outside('refused', where, fault)
  return (await secret.rotator.adopt?.(call, truth.parts)) ?? { id: null, parts: truth.parts }
}

/**
 * Tries what stands in the source of truth, before anything begins. Changes nothing.
 *
 * @throws `ERR_SECRET_PLAN` where it is blank, cannot be read or does not work
 */
export async function assertWorks(secret: OpenedSecret, call: Call): Promise<void> {
  const refuse = (why: string) => fail('ERR_SECRET_PLAN', secret.name, `${truthOf(secret)?.place ?? secret.name}.truth`, why)
  try {
    const verdict = await secret.rotator.verify(call, await heldByTruth(secret, call))
    if (!verdict.works) throw refuse(`what stands there does not work: ${verdict.sentence}`)
  } catch (error) {
    throw isKeyturnError(error) && error.code.startsWith('ERR_OUTSIDE') ? refuse(error.message) : error
  }
}

/** Takes over what stands in the source of truth: sealed, before it is tried and anybody depends on it. */
export async function take({ secret, old, call }: StepWorld): Promise<Outcome> {
  const credential = await call({ callMs: TAKE_MS }, (each) => heldByTruth(secret, each))
  const left = old !== null && secret.rotator.issuer !== false && secret.rotator.overlap
  return {
    is: 'done',
    credential,
    facts: { newId: credential.id },
    evidence: { id: credential.id, ...(left && { old: 'is not ended by this run: whoever made the new one ends it at its issuer' }) },
  }
}

/** The store is read, and the rotator asks its issuer. */
const TAKE_MS = 90_000
