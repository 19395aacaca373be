import { fail } from '../../errors.ts'
import type { Stored } from '../../field/codec.ts'
import type { BoundValues } from '../../field/definition.ts'
import type { Field } from '../../field/field.ts'

/** What a job carries in place of a secret: where it stands. Plain JSON. */
export interface JobReference {
  readonly keyturn: 'reference'
  readonly field: string
  /** Columns that name one row, and their values. */
  readonly row: { readonly [column: string]: RowValue }
  /** Inside a document: the JSON pointer to the value, where the field has several of them. */
  readonly at?: string
}
/** A secret that a job carries, sealed under a field. Plain JSON. */
export interface SealedPart {
  readonly keyturn: 'sealed'
  readonly field: string
  /** The bound columns of the field, by name. */
  readonly bound: { readonly [column: string]: RowValue }
  readonly value: string
  /** Of a field that writes bytes: how `value` says them. */
  readonly encoding?: 'base64'
  /** Of a field whose key id stands beside its values. */
  readonly keyId?: string
}
/** What a row is named by, as JSON can hold it; a large integer as text. */
export type RowValue = string | number | boolean

const isFlat = (value: unknown): value is { readonly [column: string]: RowValue } =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((each) => ['string', 'number', 'boolean'].includes(typeof each))

/** Columns by name, as a job can carry them. @throws `ERR_USAGE` for what JSON would change, or not hold */
export function flatRow(field: string, row: BoundValues): JobReference['row'] {
  const entries = Object.entries(row).map(([column, value]) => [column, typeof value === 'bigint' ? String(value) : value] as const)
  const flat = Object.fromEntries(entries)
  if (isFlat(flat) && Object.values(flat).every((value) => typeof value !== 'number' || Number.isSafeInteger(value))) return flat
  throw fail('ERR_USAGE', `field "${field}": a job names rows by text, whole numbers, true and false`)
}

/** Whether a part of a job's data is a reference. What stands in Redis was written by anybody: every member is looked at. */
export function isReference(part: unknown): part is JobReference {
  const { keyturn, field, row, at } = (part ?? {}) as Partial<JobReference>
  return keyturn === 'reference' && typeof field === 'string' && isFlat(row) && (at === undefined || typeof at === 'string')
}

export function isSealed(part: unknown): part is SealedPart {
  const { keyturn, field, bound, value, keyId, encoding } = (part ?? {}) as Partial<SealedPart>
  const texts = typeof field === 'string' && typeof value === 'string' && (keyId === undefined || typeof keyId === 'string')
  return keyturn === 'sealed' && texts && isFlat(bound) && (encoding === undefined || encoding === 'base64')
}

/** Seals under the active key. */
export async function sealPart(field: Field, plaintext: string | Uint8Array, bound: SealedPart['bound']): Promise<SealedPart> {
  const given = field.bind.length === 0 ? undefined : bound
  const { value, keyId } =
    field.keyId === null ? { value: await field.encrypt(plaintext, given), keyId: undefined } : await field.encryptKeyed(plaintext, given)
  const stored: Stored = value
  return {
    keyturn: 'sealed',
    field: field.name,
    bound,
    ...(typeof stored === 'string' ? { value: stored } : { value: Buffer.from(stored).toString('base64'), encoding: 'base64' as const }),
    ...(keyId === undefined ? {} : { keyId }),
  }
}

/** The value of a sealed part, as `Field` takes it. */
export function storedOf({ value, encoding }: SealedPart): Stored {
  return encoding === undefined ? value : Buffer.from(value, 'base64')
}
