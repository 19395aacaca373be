import type { AuditValue } from '../audit/event.ts'
import type { Field } from '../field/field.ts'
import { printReference } from '../field/reference.ts'
import type { KeyVersionFacts } from '../keyring/key-version.ts'
import type { Claim } from './certificate.ts'
import type { KeyLives } from './database.ts'
import type { Fence } from './fencing.ts'
import type { FailedValue, FieldVerification, RotationResult } from './result.ts'
import type { Progress, SetAside } from './run.ts'

/** Where the log and the database stood when a certificate was made. */
export interface Standing {
  /** Head of the audit log before the certificate's own event, `seq:hash`; null where there is no log. */
  readonly head: string | null
  /** The database's clock. */
  readonly at: string
  /** The database's position in its log (LSN); null where it has none. */
  readonly position: string | null
}

/** A value that names a key and stays as it is, as results show it, with the SHA-256 by which the fence knows it. */
export type ListedValue = FailedValue & Pick<SetAside, 'digest'>

/** What a rotation came to, for its certificate. */
export interface RotationFacts
  extends Pick<RotationResult, 'id' | 'mode' | 'total' | 'rotated' | 'skipped' | 'conflicts' | 'rows' | 'tables'> {
  readonly keyring: string
  readonly fields: readonly Field[]
  /** What its last verification found, by field. */
  readonly after: readonly FieldVerification[]
  readonly startedAt: Date
  /** Null: the moment of the certificate. */
  readonly endedAt: Date | null
  /** Versions of a stored keyring; empty for keys from the environment, whose ids would help to guess them. */
  readonly versions: readonly KeyVersionFacts[]
  readonly preserved: Progress['preserved']
  readonly setAside: { readonly count: number; readonly listed: readonly FailedValue[] }
  /** Fences that stand for versions of the keyring. */
  readonly fences: readonly Fence[]
  /** Where the counts come from: the run itself, or, where it was certified later, its event in the audit log. */
  readonly source: 'run' | 'log'
  /** Of fields in Redis, how long what they stand in lives, looked at when everything was current. */
  readonly lives?: KeyLives
}

/** What the retirement of a key version came to, for its certificate. */
export interface RetirementFacts {
  readonly keyring: string
  readonly versionId: string
  /** The run that made the last pass and verified. */
  readonly rotationId: string
  readonly fields: readonly Field[]
  /** All versions of the keyring, with their new states. */
  readonly versions: readonly KeyVersionFacts[]
  /** Of this version, all of them validated. */
  readonly fences: readonly Fence[]
  /** The database's position when every row had been checked. */
  readonly position: string
  /** All values set aside that name the key and were accepted. */
  readonly accepted: readonly ListedValue[]
}

/** The claim of a rotation: spec/certificate.md. */
export function rotationClaim(facts: RotationFacts, { head, at, position }: Standing): Claim {
  const { id, keyring, mode, total, rotated, skipped, conflicts, rows, tables, setAside } = facts
  const preserved = preservedClaim(facts)
  const other = facts.after.reduce((sum, field) => sum + field.other, 0)
  return {
    kind: 'rotation',
    issuedAt: at,
    rotation: id,
    keyring,
    mode,
    state: 'completed',
    source: facts.source,
    startedAt: facts.startedAt.toISOString(),
    endedAt: facts.endedAt?.toISOString() ?? at,
    fields: facts.fields.map((field) => ({ ...fieldClaim(field), after: countsOf(facts.after, field.name) })),
    before: { total, other: rotated + setAside.count, current: skipped },
    after: { total: sumOf(facts.after, 'total'), current: sumOf(facts.after, 'current'), other, setAside: setAside.count },
    rewritten: { values: rotated, rows, tables, conflicts },
    versions: facts.versions.map(versionClaim),
    preserved,
    setAside: { count: setAside.count, listed: setAside.listed.map(shownClaim) },
    complete: setAside.count === 0 && other === 0 && (rotated === 0 || preserved?.equal === true),
    fence: facts.fences.length === 0 ? 'none' : facts.fences.map(fenceClaim),
    position,
    ...(facts.lives === undefined ? {} : { lives: livesClaim(facts.lives) }),
    auditHead: head,
  }
}

/** The claim of a retirement: spec/certificate.md. */
export function retirementClaim(facts: RetirementFacts, { head, at }: Standing): Claim {
  const { keyring, versionId, rotationId, accepted, position } = facts
  return {
    kind: 'retirement',
    issuedAt: at,
    rotation: rotationId,
    keyring,
    version: versionId,
    fields: facts.fields.map(fieldClaim),
    versions: facts.versions.map(versionClaim),
    setAside: { count: accepted.length, listed: accepted.map(acceptedClaim) },
    complete: accepted.length === 0 && facts.fences.length > 0 && facts.fences.every(({ validated }) => validated),
    fence: facts.fences.length === 0 ? 'none' : facts.fences.map(fenceClaim),
    position,
    auditHead: head,
  }
}

const zero = '0'.repeat(64)

/** Null where nothing was measured: no claim is made then. */
function preservedClaim({ rotated, preserved, mode, setAside }: RotationFacts): { [name: string]: AuditValue } | null {
  const measured = preserved !== undefined && (preserved.old !== zero || preserved.new !== zero)
  if (rotated === 0 || !measured) return null
  // Only where nobody could write in between does the sum over what was rewritten speak for everything else as well.
  const scope = mode === 'transaction' && setAside.count === 0 ? 'all' : 'rewritten'
  return { values: rotated, equal: preserved.old === preserved.new, scope }
}

const fieldClaim = (field: Field) => ({
  name: field.name,
  location: printReference(field.location),
  writes: field.writes.name,
  bound: field.bind.map(({ column, type }) => ({ column, type })),
  ...(field.only === null ? {} : { only: field.only }),
})

function countsOf(after: readonly FieldVerification[], name: string): { [name: string]: AuditValue } | null {
  const found = after.find(({ field }) => field === name)
  if (found === undefined) return null
  const { total, current, other, failedCount: setAside, unencrypted } = found
  return { total, current, other, setAside, ...(unencrypted === undefined ? {} : { unencrypted }) }
}

const livesClaim = ({ keys, withoutEnd, until }: KeyLives) => ({ keys, withoutEnd, until: until?.toISOString() ?? null })

const sumOf = (after: readonly FieldVerification[], member: 'total' | 'current'): number =>
  after.reduce((sum, field) => sum + field[member], 0)

const versionClaim = ({ id, number, state, compromised }: KeyVersionFacts) => ({ id, number, state, compromised })

// Without a digest: what does not open may be a plain text, and its digest would confirm a guess.
const shownClaim = ({ field, row, path, reason }: FailedValue) => ({ field, row: { ...row }, path: path ?? null, reason })

const acceptedClaim = (value: ListedValue) => ({ ...shownClaim(value), digest: Buffer.from(value.digest).toString('hex') })

const fenceClaim = ({ keyId, table, column, constraint, definition, validated }: Fence) => ({
  keyId,
  table,
  column,
  constraint,
  definition,
  validated,
})
