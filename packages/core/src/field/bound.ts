import { isUint8Array } from 'node:util/types'
import { fail } from '../errors.ts'

/** The types a bound column can have; the same canonical bytes from every driver. */
export type BoundType = 'text' | 'int' | 'uuid' | 'bytes' | 'bool'

/** A column whose value is authenticated with the value. */
export interface BoundColumn {
  readonly column: string
  readonly type: BoundType
}

// Never change: these bytes are authenticated with values that stand in databases (spec/kt1.md).
const canonical: Record<BoundType, (value: unknown) => Uint8Array | null> = {
  text: (value) => (typeof value === 'string' && value.isWellFormed() ? Buffer.from(value) : null),
  int: (value) => {
    const text = integerText(value)
    return text === null ? null : Buffer.from(text)
  },
  uuid: (value) => (typeof value === 'string' && UUID.test(value) ? Buffer.from(value.toLowerCase()) : null),
  // A copy: drivers give views of buffers that they fill again.
  bytes: (value) => (isUint8Array(value) ? Buffer.from(value) : null),
  bool: (value) => (typeof value === 'boolean' ? Buffer.from(String(value)) : null),
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const INTEGER = /^(?:0|-?[1-9][0-9]{0,18})$/

/**
 * The canonical bytes of a bound value as a driver gives it, or null if it is not of the type: pg gives `int8` as text and `int4`
 * as a number, PGlite a number or a big integer.
 */
export function canonicalBytes(type: BoundType, value: unknown): Uint8Array | null {
  return canonical[type](value)
}

/** As `canonicalBytes`, of a field's bound column. @throws `ERR_BOUND_VALUE` */
export function canonicalOf(field: string, { column, type }: BoundColumn, value: unknown): Uint8Array {
  const bytes = canonicalBytes(type, value)
  if (bytes === null) throw fail('ERR_BOUND_VALUE', field, column, type)
  return bytes
}

/** Canonical decimal of -2^63 to 2^63-1. Text must be canonical already: `007` was taken from somewhere else than the column. */
function integerText(value: unknown): string | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : null
  if (typeof value !== 'bigint' && !(typeof value === 'string' && INTEGER.test(value))) return null
  const integer = BigInt(value)
  return BigInt.asIntN(64, integer) === integer ? String(integer) : null
}
