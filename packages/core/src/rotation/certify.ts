import { announce, type Checkpoints } from '../audit/checkpoint.ts'
import type { AuditEvent } from '../audit/event.ts'
import { isKeyturnError } from '../errors.ts'
import type { KeyVersionFacts } from '../keyring/key-version.ts'
import { type Certificate, type Claim, signCertificate } from './certificate.ts'
import { type RetirementFacts, type RotationFacts, retirementClaim, rotationClaim, type Standing } from './claims.ts'

/** Keeps certificates beside the audit log. */
export interface CertificateStore {
  /**
   * Makes the certificate of a subject and keeps it with its audit event in one transaction. There is one for each subject: where it
   * has been made already, that one is returned and nothing is written, so that this may be repeated after a crash. What somebody else
   * wrote in its place does not count.
   *
   * @param make - given where the log and the database stand, with the head locked
   */
  issue(subject: string, actor: string, make: (standing: Standing) => Certificate): Promise<Certificate>
  /**
   * The certificate of a subject, or null. It speaks of that subject; and its signature fits, or it names another signer than the one
   * here and the audit log says that it was issued: the operator's key may have changed.
   */
  of(subject: string): Promise<Certificate | null>
  /** All certificates, the newest first. Their signatures are not looked at; what is no certificate is left out. */
  list(): Promise<readonly StoredCertificate[]>
}
export interface StoredCertificate {
  /** SHA-256 of its text. */
  readonly id: string
  /** `rotation/ID`, or `retirement/ROTATION/VERSION`. */
  readonly subject: string
  readonly certificate: Certificate
}

/** What signs and keeps the proof of what was done. */
export interface Evidence extends Checkpoints {
  readonly certificates: CertificateStore
  /** Told of a certificate that could not be made, a sentence without secrets. */
  readonly warn: (sentence: string) => void
}

export const rotationSubject = (rotationId: string): string => `rotation/${rotationId}`
export const retirementSubject = ({ rotationId, versionId }: Pick<RetirementFacts, 'rotationId' | 'versionId'>): string =>
  `retirement/${rotationId}/${versionId}`

/**
 * The certificate of a rotation that is completed, and a checkpoint of the log after it. Null without a signing key.
 *
 * Nothing is thrown, because what it speaks of is done: what fails is a warning and an event, and `Keyturn.resume` makes it later.
 *
 * @param recorded - false where no run is recorded and nothing of ours may be left: it is signed then, and not kept
 */
export async function certifyRotation(
  evidence: Evidence,
  rotationId: string,
  { facts, recorded }: { readonly facts: () => Promise<RotationFacts>; readonly recorded: boolean },
): Promise<Certificate | null> {
  const prepare = async () => rotationClaim.bind(null, await facts())
  const certificate = await certify(evidence, { subject: rotationSubject(rotationId), prepare, keep: recorded })
  if (recorded) await announce(evidence)
  return certificate
}

/**
 * The certificate of a key version that has been retired, and a checkpoint of the log after it. Call it once the new state is saved,
 * and again after a crash: with the same facts it is made once. Null without a signing key; nothing is thrown.
 */
export async function certifyRetirement(evidence: Evidence, facts: RetirementFacts): Promise<Certificate | null> {
  const prepare = async () => retirementClaim.bind(null, facts)
  const certificate = await certify(evidence, { subject: retirementSubject(facts), prepare, keep: true })
  await announce(evidence)
  return certificate
}

/** Whether a retired version has the certificate of its latest retirement; also where nobody can sign one. */
export async function isRetirementCertified(
  { signer, certificates }: Evidence,
  { id, retiredAt }: Pick<KeyVersionFacts, 'id' | 'retiredAt'>,
): Promise<boolean> {
  if (signer === null) return true
  const since = retiredAt?.toISOString() ?? ''
  const found = (await certificates.list()).filter(
    ({ subject, certificate: { claim } }) =>
      subject.startsWith('retirement/') && subject.endsWith(`/${id}`) && String(claim.issuedAt) >= since,
  )
  for (const { subject } of found) if ((await certificates.of(subject)) !== null) return true
  return false
}

/** The subject that a claim speaks of. */
export function subjectOf({ kind, rotation, version }: Claim): string {
  return kind === 'retirement'
    ? retirementSubject({ rotationId: String(rotation), versionId: String(version) })
    : rotationSubject(String(rotation))
}

interface Certifying {
  readonly subject: string
  readonly prepare: () => Promise<(standing: Standing) => Claim>
  readonly keep: boolean
}

async function certify(evidence: Evidence, { subject, prepare, keep }: Certifying): Promise<Certificate | null> {
  const { signer, certificates, actor } = evidence
  if (signer === null) return null
  try {
    const claim = await prepare()
    const make = (standing: Standing) => signCertificate(claim(standing), signer)
    if (!keep) return make({ head: null, at: new Date().toISOString(), position: null })
    return await certificates.issue(subject, actor, make)
  } catch (error) {
    const code = isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED'
    const later = keep ? '. "keyturn resume" makes it later' : ''
    evidence.warn(`the certificate of ${subject} could not be made (${code}); what it speaks of is done${later}`)
    await recordFailure(evidence, { action: 'certificate.fail', subject }, error)
    return null
  }
}

/** Runs an action. One that fails is on record as well, in a transaction of its own. */
export async function recorded<T>(evidence: Evidence, { action, subject }: { action: string; subject: string }, work: () => Promise<T>) {
  try {
    return await work()
  } catch (error) {
    await recordFailure(evidence, { action: 'action.fail', subject, data: { action } }, error)
    throw error
  }
}

/** Puts an action that failed on record, in a transaction of its own. The action's own error is the one to throw: nothing is thrown here. */
export async function recordFailure(
  { log, actor }: Pick<Evidence, 'log' | 'actor'>,
  event: Pick<AuditEvent, 'action' | 'subject'> & { readonly data?: AuditEvent['data'] },
  error: unknown,
): Promise<void> {
  const code = isKeyturnError(error) ? error.code : 'ERR_UNEXPECTED'
  await log.record({ actor, ...event, data: { ...event.data, code } }).catch(() => {})
}
