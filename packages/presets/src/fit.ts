import { type Database, fail, nearest, parseReference } from '@keyturn/core'
import { gapsOf } from './gaps.ts'
import type { Preset } from './preset.ts'

/** What of a preset a database has. */
export interface Fit {
  /** The fields whose places are there, in the order of the preset. */
  readonly fields: readonly string[]
  /** Optional places that are not there, in words. */
  readonly notes: readonly string[]
  /** Values that look encrypted and that the preset does not know: they would stay under the old key. */
  readonly warnings: readonly string[]
}

/**
 * Compares a preset with the tables of a database, before anything is opened for writing. Changes nothing and needs no key.
 *
 * A sample of the application's tables is read for values in its format that stand elsewhere: a newer version may keep secrets in
 * places that the preset does not know. They are warnings, unless a place of the preset is missing from the same table: then the
 * column was renamed, and what it holds would become unreadable.
 *
 * @throws `ERR_PRESET_FIT` with every table and column that is missing
 */
export async function fitsPreset(preset: Preset, database: Database): Promise<Fit> {
  const places = Object.entries(preset.fields).map(([name, field]) => ({ name, field, location: parseReference(field.column) }))
  const shapes = await database.inspect(places.map(({ location }) => location))
  const names = await database.tables()
  const found = places.map((place, index) => {
    const shape = shapes[index] ?? null
    const { schema, table, column } = place.location
    if (shape === null)
      return { ...place, shape, lack: `there is no table "${schema === null ? table : `${schema}.${table}`}"${near(table, names)}` }
    const columns = shape.columns.map((each) => each.name)
    return { ...place, shape, lack: columns.includes(column) ? null : `table "${table}" has no column "${column}"${near(column, columns)}` }
  })
  const gaps = await gapsOf(
    preset,
    database,
    found.flatMap(({ shape, lack, ...place }) => (shape === null || lack !== null ? [] : [{ ...place, shape }])),
  )
  const renamed = (table: string) => gaps.some((gap) => gap.table === table)
  const lacking = found.filter(({ lack }) => lack !== null)
  const missing = lacking.filter(({ field, location }) => !field.optional || renamed(location.table))
  if (missing.length > 0) {
    const elsewhere = gaps.filter(({ table }) => missing.some(({ location }) => location.table === table))
    const faults = [...distinct(missing), ...elsewhere.map(({ where }) => `${where} holds values that look encrypted`)]
    throw fail('ERR_PRESET_FIT', preset.name, faults.join('; '), preset.tested)
  }
  return {
    fields: found.flatMap(({ name, lack }) => (lack === null ? [name] : [])),
    notes: distinct(lacking).map((lack) => `${lack}; other versions of ${preset.application} have it`),
    warnings: gaps.map(
      ({ where }) =>
        `${where} holds values that look encrypted and are not part of preset "${preset.name}": they would stay under the old key`,
    ),
  }
}

/** A table or a column that several fields stand in is named once. */
const distinct = (lacking: readonly { readonly lack: string | null }[]): string[] => [...new Set(lacking.flatMap(({ lack }) => lack ?? []))]

/** The nearest name in brackets; nothing where none is near, because the sentence goes on. */
function near(name: string, names: readonly string[]): string {
  const [, suggestion] = /Did you mean (.+)\?$/.exec(nearest(name, names)) ?? []
  return suggestion === undefined ? '' : ` (the nearest is ${suggestion})`
}
