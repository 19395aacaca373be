import type { Codec, Database, Location, PathStep, Stored, TableShape } from '@keyturn/core'
import type { Preset, PresetField } from './preset.ts'

/** A place of a preset that a database has. */
export interface FoundPlace {
  readonly field: PresetField
  readonly location: Location
  readonly shape: TableShape
}
/** Somewhere outside the places of the preset where values look encrypted. */
export interface Gap {
  readonly table: string
  /** For people: `column "actions.config", at /token,`. */
  readonly where: string
}

const sampledRows = 50
/** How much of a table that is not part of the preset is read at most, going by its average row. */
const sampledBytes = 4 * 2 ** 20

/**
 * Reads a sample of the application's tables for values in one of its formats that stand outside the places of the preset: in columns
 * it does not know, in members of documents it does know, and in other tables on the search path. Tables that this user may not read,
 * or that have no unique key, are passed over.
 */
export async function gapsOf(preset: Preset, database: Database, places: readonly FoundPlace[]): Promise<Gap[]> {
  const look = { database, codecs: await codecsOf(preset) }
  const own = new Map(places.map(({ shape }) => [`${shape.schema}.${shape.table}`, shape]))
  const known = places.flatMap(({ location, shape }) => (location.schema === null ? [shape.table] : []))
  // A name with a dot is that of a schema which is not on the search path: not the application's.
  const others = (await database.tables()).filter((name) => !known.includes(name) && !name.includes('.'))
  const shapes = await database.inspect(others.map((table) => ({ schema: null, table, column: '' })))
  const gaps: Gap[] = []
  for (const shape of own.values()) {
    const here = places.filter((place) => place.shape.schema === shape.schema && place.shape.table === shape.table)
    if (isReadable(shape)) gaps.push(...(await gapsBeside(look, shape, here)))
  }
  for (const shape of shapes) if (shape !== null && isReadable(shape)) gaps.push(...(await gapsWithin(look, shape)))
  return [...new Map(gaps.map((gap) => [gap.where, gap])).values()]
}

interface Look {
  readonly database: Database
  readonly codecs: readonly Codec[]
}

const isReadable = ({ kind, key, missingPrivileges }: TableShape): boolean =>
  kind === 'table' && key.length > 0 && !missingPrivileges.includes('SELECT')

/** In a table of the preset: each column by itself, from both ends of the key, without those that are a place of the preset as a whole. */
async function gapsBeside({ database, codecs }: Look, shape: TableShape, places: readonly FoundPlace[]): Promise<Gap[]> {
  const gaps: Gap[] = []
  for (const { name: column, holds } of shape.columns) {
    const here = places.filter(({ location }) => location.column === column)
    if (holds === null || here.some(({ location }) => location.path === undefined)) continue
    const walk = await database.walk(shape, [{ field: '', column, holds, currentPrefix: null }], [])
    const rows = await database.sample(walk, 0, sampledRows)
    gaps.push(...rows.flatMap(({ values }) => encrypted(values[0] ?? null, codecs, here).map((path) => gapAt(shape, column, path))))
  }
  return gaps
}

/** In another table: its first rows. It may be the largest of the database, so that no more is asked of it. */
async function gapsWithin({ database, codecs }: Look, shape: TableShape): Promise<Gap[]> {
  const columns = shape.columns.flatMap(({ name, holds }) =>
    holds === null ? [] : [{ field: '', column: name, holds, currentPrefix: null }],
  )
  if (columns.length === 0) return []
  const typical = shape.bytes / Math.max(1, shape.rows)
  const limit = Math.max(1, Math.min(sampledRows, Math.floor(sampledBytes / Math.max(1, typical))))
  const rows = await database.scan(await database.walk(shape, columns, []), null, limit)
  return rows.flatMap(({ values }) =>
    columns.flatMap(({ column }, index) => encrypted(values[index] ?? null, codecs, []).map((path) => gapAt(shape, column, path))),
  )
}

function gapAt({ schema, table }: TableShape, column: string, path: readonly string[]): Gap {
  const name = [...(schema === 'public' ? [] : [schema]), table, column].join('.')
  return { table, where: `column "${name}"${path.length === 0 ? '' : `, at ${pointerOf(path)},`}` }
}

/** The formats of the preset. Only asked whether a value has their shape: no key is needed. */
async function codecsOf(preset: Preset): Promise<Codec[]> {
  const formats = new Map(Object.values(preset.fields).map(({ writes }) => [JSON.stringify(writes), writes]))
  return await Promise.all(
    [...formats.values()].map(async (format) => {
      const { codec, ...options } = typeof format === 'string' ? { codec: format } : format
      const driver: { default: (options: object) => Codec } = await import(`@keyturn/core/codecs/${codec}`)
      return driver.default(options)
    }),
  )
}

/** Where in a stored value, itself or a document, something looks encrypted that no place of the preset covers. */
function encrypted(stored: Stored | null, codecs: readonly Codec[], places: readonly FoundPlace[]): string[][] {
  if (stored === null) return []
  if (codecs.some((codec) => codec.matches(stored))) return [[]]
  const document = typeof stored === 'string' && /^\s*[[{"]/.test(stored) ? parsed(stored) : null
  return [...leaves(document, [], null)]
    .filter(({ text }) => codecs.some((codec) => codec.matches(text)))
    .filter((leaf) => !places.some(({ field, location }) => covers(location.path ?? [], field.where ?? {}, leaf)))
    .map(({ path }) => path)
}

interface Leaf {
  readonly path: string[]
  readonly text: string
  /** The object or list it stands in. */
  readonly parent: object | null
}

function* leaves(node: unknown, path: string[], parent: object | null): Generator<Leaf> {
  if (typeof node === 'string') yield { path, text: node, parent }
  if (typeof node !== 'object' || node === null) return
  for (const [name, child] of Object.entries(node)) yield* leaves(child, [...path, name], node)
}

function covers(steps: readonly PathStep[], where: Readonly<Record<string, unknown>>, { path, parent }: Leaf): boolean {
  const below = steps.at(-1) === true
  const named = below ? steps.slice(0, -1) : steps
  if (below ? path.length < named.length : path.length !== named.length) return false
  if (!named.every((step, index) => step === null || step === path[index])) return false
  return Object.entries(where).every(([name, wanted]) => parent !== null && (parent as Record<string, unknown>)[name] === wanted)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

// A name of a member may be anything that a user typed, a secret in the wrong place included: only what looks like a word is shown.
const word = /^[A-Za-z][A-Za-z_-]{0,31}$/
const pointerOf = (path: readonly string[]): string => path.map((step) => `/${word.test(step) ? step : '*'}`).join('')
