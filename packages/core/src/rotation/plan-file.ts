import { createHash } from 'node:crypto'
import { canonicalJson } from '../audit/canonical.ts'
import { fail } from '../errors.ts'
import type { Plan, PlannedField, PlannedTable } from './plan.ts'

/**
 * A plan as a file: JSON for people and programs, with a digest over all of it, so that a plan that somebody edited is not taken for
 * the one that was made.
 */
export function writePlan(plan: Plan): string {
  return `${JSON.stringify({ ...plan, digest: planFileDigest(plan) }, null, 2)}\n`
}

/** SHA-256 of a plan, in hex: names it in the audit log. */
export function planFileDigest(plan: Plan): string {
  return createHash('sha256').update(canonicalJson(plan)).digest('hex')
}

/**
 * Reads what `writePlan` wrote.
 *
 * @throws `ERR_PLAN` for anything else: other JSON, another version, missing or further members, a plan that was edited
 * @example
 * readPlan('{}') // throws ERR_PLAN
 */
export function readPlan(text: string): Plan {
  const found = parse(text)
  if (!isRecord(found)) throw fail('ERR_PLAN', 'it is not a JSON object')
  if (found.format !== 'keyturn/plan/1') throw fail('ERR_PLAN', 'it is not of the format keyturn/plan/1')
  const { digest, ...plan } = found
  const wrong = wrongMember(plan, shape)
  if (wrong !== null) throw fail('ERR_PLAN', `${wrong} is missing, wrong or unknown`)
  if (digest !== planFileDigest(plan as unknown as Plan)) throw fail('ERR_PLAN', 'it was changed after it was made')
  return plan as unknown as Plan
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw fail('ERR_PLAN', 'it is not JSON')
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): boolean => typeof value === 'string'
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
const isFlag = (value: unknown): boolean => typeof value === 'boolean'
const isDate = (value: unknown): boolean => typeof value === 'string' && !Number.isNaN(Date.parse(value))
const either =
  (...values: readonly string[]) =>
  (value: unknown) =>
    values.includes(value as string)
const list = (of: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(of)
const orNull = (of: (value: unknown) => boolean) => (value: unknown) => value === null || of(value)
const orAbsent = (of: (value: unknown) => boolean) => (value: unknown) => value === undefined || of(value)
const object = (shape: Shape) => (value: unknown) => isRecord(value) && wrongMember(value, shape) === null

type Shape = { readonly [member: string]: (value: unknown) => boolean }
type ShapeOf<T> = { readonly [member in keyof Required<T>]: (value: unknown) => boolean }

const table: ShapeOf<PlannedTable> = { table: isText, rows: isCount, bytes: isCount, key: list(isText) }
const field: ShapeOf<PlannedField> = {
  field: isText,
  column: isText,
  writes: isText,
  reads: list(isText),
  bound: list(isText),
  sampled: isCount,
  opened: isCount,
  current: isCount,
  unencrypted: orAbsent(isCount),
}
const options: ShapeOf<Plan['options']> = { fields: orNull(list(isText)), appStopped: isFlag, newVersion: isFlag }
const shape: ShapeOf<Plan> = {
  format: isText,
  createdAt: isDate,
  keyring: isText,
  options: object(options),
  mode: either('online', 'transaction'),
  tables: list(object(table)),
  fields: list(object(field)),
  values: isCount,
  seconds: isCount,
  creates: list(isText),
  steps: list(isText),
  warnings: list(isText),
  alsoUsedFor: list(object({ what: isText, becomes: isText })),
  mustAccept: list(isText),
  facts: (value) => isRecord(value) && Object.values(value).every(isText),
  salt: isText,
}

/** The first member that is missing, unknown or of another kind; null if there is none. */
function wrongMember(value: Record<string, unknown>, shape: Shape): string | null {
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(shape, name))
  // A name that we do not know may be anything, also a secret pasted into the wrong place.
  if (unknown !== undefined) return 'a member that no plan has'
  const [wrong] = Object.entries(shape).filter(([name, is]) => !is(Object.hasOwn(value, name) ? value[name] : undefined))
  return wrong === undefined ? null : `"${wrong[0]}"`
}
