import { createHmac, type KeyObject } from 'node:crypto'
import { fail } from '../errors.ts'
import { printPointer } from '../field/document.ts'
import type { Field } from '../field/field.ts'
import type { Cell } from './cells.ts'
import type { Row } from './database.ts'
import type { Progress } from './run.ts'
import type { TableWalk } from './walks.ts'

/**
 * The proof that rewriting kept each plaintext: two sums of HMACs over exactly the values whose swap committed, one of what the old values
 * decrypted to and one of what the new bytes do. They are kept with the cursor, so that a run which was killed goes on summing.
 */

/** What was rewritten of one row. */
export interface RewrittenRow {
  readonly row: Pick<Row, 'key'>
  readonly stale: readonly RewrittenValue[]
}
interface RewrittenValue {
  readonly cell: Pick<Cell, 'field' | 'spot'>
  readonly plaintext: Uint8Array
  /** What the new bytes decrypted to, as long as `plaintext`: never the same buffer. */
  readonly again: Uint8Array
}

/** Both sides of some values, side by side in two buffers of the same layout. */
export interface Witness {
  readonly old: Buffer
  readonly new: Buffer
}
/** The part of a witness that speaks of one row. */
export interface Testimony {
  readonly witness: Witness
  readonly start: number
  readonly end: number
}

/** Writes down values of many rows: field ‖ row key as JSON ‖ path ‖ plaintext, each with its length in four bytes before it. */
export function testify({ fields }: Pick<TableWalk, 'fields'>, rows: readonly RewrittenRow[]): Testimony[] {
  const names = rows.map(({ row }) => JSON.stringify(row.key))
  // Room for the longest encoding: to ask each text for its length would cost as much as to write it.
  let room = 0
  for (let index = 0; index < rows.length; index++)
    for (const value of (rows[index] as RewrittenRow).stale)
      room +=
        16 +
        ((fields[value.cell.field] as Field).name.length + (names[index] as string).length + pathOf(value).length) * 3 +
        value.plaintext.length
  const witness: Witness = { old: Buffer.allocUnsafe(room), new: Buffer.allocUnsafe(room) }
  const plaintexts: number[] = []
  const testimonies: Testimony[] = []
  let at = 0
  for (let index = 0; index < rows.length; index++) {
    const start = at
    for (const value of (rows[index] as RewrittenRow).stale) {
      at = writeText(witness.old, (fields[value.cell.field] as Field).name, at)
      at = writeText(witness.old, names[index] as string, at)
      at = writeText(witness.old, pathOf(value), at)
      at = witness.old.writeUInt32BE(value.plaintext.length, at)
      witness.old.set(value.plaintext, at)
      plaintexts.push(at)
      at += value.plaintext.length
    }
    testimonies.push({ witness, start, end: at })
  }
  witness.old.copy(witness.new, 0, 0, at)
  let next = 0
  for (const { stale } of rows) for (const { again } of stale) witness.new.set(again, plaintexts[next++] as number)
  return testimonies
}

/** JSON pointer inside a document; empty for a whole column. */
const pathOf = ({ cell: { spot } }: RewrittenValue): string => (spot === null ? '' : printPointer(spot.path))

function writeText(buffer: Buffer, text: string, at: number): number {
  const length = text === '' ? 0 : buffer.write(text, at + 4)
  return buffer.writeUInt32BE(length, at) + length
}

/**
 * The sums with the values of one more commit in them: one HMAC-SHA256 for each side over all of them in their order, added mod 2^256.
 * Nothing committed adds nothing.
 */
export function withPreserved(sums: Progress['preserved'], key: KeyObject, committed: readonly Testimony[]): Progress['preserved'] {
  return committed.length === 0 ? sums : plus(sums, digestsOf(key, committed))
}

/** The part of some values, to be added once they are committed. */
export function digestsOf(key: KeyObject, values: readonly Testimony[]): Progress['preserved'] {
  return { old: digestOf(key, values, 'old'), new: digestOf(key, values, 'new') }
}

export function plus(sums: Progress['preserved'], digests: Progress['preserved']): Progress['preserved'] {
  return { old: added(sums.old, digests.old), new: added(sums.new, digests.new) }
}

function digestOf(key: KeyObject, committed: readonly Testimony[], side: keyof Witness): string {
  const hmac = createHmac('sha256', key)
  for (let index = 0; index < committed.length; ) {
    const { witness, start, end } = committed[index] as Testimony
    let until = end
    // Rows that stand next to each other are one piece: a call for each would cost more than the hashing.
    for (index++; committed[index]?.witness === witness && committed[index]?.start === until; index++)
      until = (committed[index] as Testimony).end
    hmac.update(witness[side].subarray(start, until))
  }
  return hmac.digest('hex')
}

const modulus = 1n << 256n

function added(sum: string, digest: string): string {
  return ((BigInt(`0x${sum}`) + BigInt(`0x${digest}`)) % modulus).toString(16).padStart(64, '0')
}

/** The key of a run's sums: of the version that it makes active, so that a resume in another process has the same. */
export function preservedKey({ keyring }: Field, rotationId: string): KeyObject {
  const { material } = keyring.snapshot.active
  if (material === null) throw fail('ERR_KEY_NOT_FOUND', keyring.name, keyring.snapshot.active.id)
  return material.derive(`keyturn/preserved/${rotationId}`)
}

/** @throws `ERR_ROUND_TRIP` where the sums differ: a new value does not hold the plaintext of the old one */
export function assertPreserved({ preserved }: Progress, fields: readonly Field[]): void {
  if (preserved.old !== preserved.new) throw fail('ERR_ROUND_TRIP', fields.map(({ name }) => name).join('", "'))
}
