import { findEvent } from '../audit/log.ts'
import { fail } from '../errors.ts'
import type { SqlState } from '../state/sql.ts'
import { certifyRotation, type Evidence, rotationSubject } from './certify.ts'
import type { RotationResult } from './result.ts'
import { assertSameKeys, type Rotation } from './rotate.ts'
import { completedFromEvent, rotationFacts } from './rotation-facts.ts'
import type { Run } from './run.ts'
import { failedValue, listed } from './verify.ts'

/**
 * Makes the certificate of a run that is completed and has none: its process died before it was made, or there was no signing key.
 * The counts are those of the run's event in the audit log, and the certificate says so.
 *
 * @returns the result of the run; null where there is nothing to make: it is not completed, has its certificate, or nobody can sign
 */
export async function certifyCompleted(
  rotation: Rotation,
  run: Run,
  { state, evidence }: { readonly state: SqlState; readonly evidence: Evidence },
): Promise<RotationResult | null> {
  if (run.state !== 'completed' || evidence.signer === null) return null
  if ((await evidence.certificates.of(rotationSubject(run.id))) !== null) return null
  assertSameKeys(rotation, run)
  const event = await findEvent(state, state.schema, `rotation/${run.id}`, 'rotation.complete')
  const { values } = await rotation.database.runs.setAside(run.id, listed)
  const completed = event === null ? null : completedFromEvent(run, event.data, values)
  if (completed === null) throw fail('ERR_ROTATION_STATE', run.id, run.state, 'certified: its event in the audit log is missing')
  const facts = () => rotationFacts(rotation, completed)
  const certificate = await certifyRotation(evidence, run.id, { facts, recorded: true })
  return { id: run.id, mode: run.mode, state: run.state, ...completed.result, failed: values.map(failedValue), certificate }
}
