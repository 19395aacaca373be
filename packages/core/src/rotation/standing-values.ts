import { createHash } from 'node:crypto'
import type { Stored } from '../field/codec.ts'
import { findValues, isDocument } from '../field/document.ts'
import type { Field } from '../field/field.ts'
import type { FenceTarget, Fencing } from './fencing.ts'
import type { SetAside } from './run.ts'

/** What still names a key in the columns of a fence. */
export interface Standing {
  /** Values set aside: they may stand if they are accepted. */
  readonly setAside: readonly SetAside[]
  /** Whole values, or documents, that hold something else under the key: rewritten by the next pass, or where no field looks. */
  readonly strangers: number
  /** The targets, with the digests of what may stand if the values set aside are accepted. */
  readonly targets: readonly FenceTarget[]
}

/**
 * Has the database find what names a key, and tells the values that a run has set aside from all others.
 *
 * @param setAside - what the latest run could not rewrite
 */
export async function standingValues(
  fencing: Fencing,
  targets: readonly FenceTarget[],
  fields: readonly Field[],
  setAside: readonly SetAside[],
): Promise<Standing> {
  const entries = Map.groupBy(setAside, nameOf)
  const [found, exempt] = [new Set<SetAside>(), new Map<string, Uint8Array[]>()]
  let strangers = 0
  for (const [place, [target]] of Map.groupBy(targets, placeOf)) {
    // A value may stand twice: each entry of the list speaks for one of them.
    const taken = new Map<string, number>()
    const take = (name: string): SetAside | undefined => {
      const at = taken.get(name) ?? 0
      taken.set(name, at + 1)
      return entries.get(name)?.[at]
    }
    // One more than there can be set aside: a column full of values that are merely old need not be read.
    for (const { stored } of await fencing.holders([target as FenceTarget], setAside.length + 1)) {
      const known = valuesIn(target as FenceTarget, stored, fields).map(take)
      if (known.length === 0 || known.includes(undefined)) strangers++
      else {
        for (const value of known) found.add(value as SetAside)
        exempt.set(place, [...(exempt.get(place) ?? []), digestOf(stored)])
      }
    }
  }
  return { setAside: [...found], strangers, targets: targets.map((target) => ({ ...target, exempt: exempt.get(placeOf(target)) ?? [] })) }
}

/** What one condition guards, whatever the number of fields in it. */
const placeOf = ({ schema, table, column, kind, mark, values }: FenceTarget): string =>
  JSON.stringify([schema, table, column, kind, Buffer.from(mark).toString('hex'), values?.column])

const nameOf = ({ field, digest }: Pick<SetAside, 'field' | 'digest'>): string =>
  JSON.stringify([field, Buffer.from(digest).toString('hex')])
const digestOf = (stored: Stored): Uint8Array => createHash('sha256').update(stored).digest()

/** The values under the key in what a column holds, by `nameOf`; none where the key is named outside the values of its fields. */
function valuesIn(target: FenceTarget, stored: Stored, fields: readonly Field[]): string[] {
  if (target.values !== undefined || target.kind === 'text' || target.kind === 'bytes')
    return [nameOf({ field: target.field, digest: digestOf(stored) })]
  const [text, mark] = [String(stored), String(target.mark)]
  if (!isDocument(text, [true])) return []
  const found = fields
    .filter(
      ({ location: { schema, table, column } }) =>
        (schema ?? target.schema) === target.schema && table === target.table && column === target.column,
    )
    .flatMap((field) =>
      findValues(text, field.location.path ?? [], field.where).flatMap(({ value, start }) =>
        value?.startsWith(mark) ? [{ name: nameOf({ field: field.name, digest: digestOf(value) }), start }] : [],
      ),
    )
  const count = (each: string) => each.split(mark).length - 1
  // Parsed, members that stand twice are one; as text, escaped ones are none.
  const marks = Math.max(
    count(text),
    strings(JSON.parse(text)).reduce((sum, each) => sum + count(each), 0),
  )
  return marks > new Set(found.map(({ start }) => start)).size ? [] : found.map(({ name }) => name)
}

/** All strings of a document of limited depth, names of members included. */
function strings(json: unknown): string[] {
  if (typeof json === 'string') return [json]
  if (Array.isArray(json)) return json.flatMap(strings)
  if (typeof json === 'object' && json !== null) return Object.entries(json).flatMap(([name, value]) => [name, ...strings(value)])
  return []
}
