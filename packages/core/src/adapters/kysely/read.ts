import { isUint8Array } from 'node:util/types'
import { fail } from '../../errors.ts'
import type { ColumnsOf } from '../../field/by-table.ts'
import type { Field } from '../../field/field.ts'
import { encryptedBy, isNode, type Node, nameOf, nodesOf, type Scope, scopesOf, tableOf } from './node.ts'
import { camelCase } from './spelling.ts'

/** A column of the result that is to be opened, and where the columns that it is bound to stand. */
export interface Opening {
  readonly name: string
  readonly field: Field
  readonly bound: readonly { readonly column: string; readonly name: string }[]
}
/** What becomes of the rows of a query. */
export interface Reading {
  readonly openings: readonly Opening[]
  /** Columns that were asked for beyond what the query asks for. */
  readonly extra: readonly string[]
}

/** Finds the encrypted columns in what a query gives, and asks for what they are bound to as well. */
export function widen(query: Node, columnsOf: ColumnsOf): { readonly query: Node; readonly reading: Reading } {
  const scopes = scopesOf(query, columnsOf).filter(({ columns }) => columns.length > 0)
  const selections = query.kind === 'SelectQueryNode' ? query.selections : isNode(query.returning) ? query.returning.selections : undefined
  const given = nodesOf(selections).map(({ selection }) => selection)
  const asked = given.flatMap((selection) => outputsOf(selection, scopes))
  const others = sourcesOf(query) > 1
  const more: Node[] = []
  const openings = asked.map(({ scope, field, name }): Opening => {
    const bound = field.bind.map(({ column }) => {
      const there = given.flatMap((selection) => outputOf(selection, scope, column, others)).find((each) => isAlone(given, each))
      if (there !== undefined) return { column, name: there }
      if (
        query.setOperations !== undefined ||
        query.groupBy !== undefined ||
        query.distinctOn !== undefined ||
        query.frontModifiers !== undefined
      )
        throw fail('ERR_ROW_UNKNOWN', field.name, column, `a query of "${scope.alias}"`, 'Select it as well')
      // Names that CamelCasePlugin leaves alone.
      const alias = `keyturnbound${more.length}`
      more.push(aliased(scope.alias, column, alias))
      return { column, name: alias }
    })
    return { name, field, bound }
  })
  const extra = more.map((_, index) => `keyturnbound${index}`)
  if (more.length === 0) return { query, reading: { openings, extra } }
  const wider = [...nodesOf(selections), ...more]
  const widened =
    query.kind === 'SelectQueryNode'
      ? { ...query, selections: wider }
      : { ...query, returning: { ...(query.returning as Node), selections: wider } }
  return { query: widened, reading: { openings, extra } }
}

const identifier = (name: string): Node => ({ kind: 'IdentifierNode', name })

function aliased(table: string, column: string, alias: string): Node {
  const reference = {
    kind: 'ReferenceNode',
    table: { kind: 'TableNode', table: { kind: 'SchemableIdentifierNode', identifier: identifier(table) } },
    column: { kind: 'ColumnNode', column: identifier(column) },
  }
  return { kind: 'SelectionNode', selection: { kind: 'AliasNode', node: reference, alias: identifier(alias) } }
}

interface Output {
  readonly scope: Scope
  readonly field: Field
  /** What the result calls it. */
  readonly name: string
}

function outputsOf(selection: unknown, scopes: readonly Scope[]): Output[] {
  if (!isNode(selection)) return []
  const all = allOf(selection)
  if (all !== null) {
    const meant = scopes.filter(({ alias }) => all === '' || all === alias)
    return meant.flatMap((scope) => scope.columns.map(({ column, field }) => ({ scope, field, name: column })))
  }
  const [node, name] = selection.kind === 'AliasNode' ? [selection.node, nameOf(selection.alias)] : [selection, nameOf(selection)]
  const found = encryptedBy(node, scopes)
  return found === null || name === null ? [] : [{ scope: found.scope, field: found.column.field, name }]
}

/** What the result calls a column of a table, if the selection has it. */
function outputOf(selection: unknown, { alias }: Scope, column: string, others: boolean): string[] {
  if (!isNode(selection)) return []
  const all = allOf(selection)
  if (all !== null) return all === alias || (all === '' && !others) ? [column] : []
  const [node, name] = selection.kind === 'AliasNode' ? [selection.node, nameOf(selection.alias)] : [selection, nameOf(selection)]
  if (!isNode(node) || node.kind !== 'ReferenceNode' || nameOf(node) !== column || name === null) return []
  return tableOf(node) === alias || (tableOf(node) === null && !others) ? [name] : []
}

/** How many tables and subqueries the rows of a query come from. */
function sourcesOf({ from, using, joins, table, into }: Node): number {
  const listed = [isNode(from) ? from.froms : undefined, isNode(using) ? using.tables : undefined, joins, table, into]
  return listed.flatMap(nodesOf).length
}

/** Whether one selection alone can give a column of this name: of two with one name a driver gives the last. */
function isAlone(selections: readonly unknown[], name: string): boolean {
  const giving = selections.filter((selection) => {
    if (!isNode(selection) || allOf(selection) !== null) return true
    return (selection.kind === 'AliasNode' ? nameOf(selection.alias) : nameOf(selection)) === name
  })
  return giving.length === 1
}

/** Of `*` the empty text, of `t.*` the table's name; null for one column. */
function allOf(selection: Node): string | null {
  if (selection.kind === 'SelectAllNode') return ''
  const { column } = selection
  return selection.kind === 'ReferenceNode' && isNode(column) && column.kind === 'SelectAllNode' ? (tableOf(selection) ?? '') : null
}

type Row = Record<string, unknown>

/** Opens the encrypted columns of a row. */
export async function openRow(row: Row, { openings, extra }: Reading): Promise<Row> {
  const opened: Row = { ...row }
  const nameIn = (name: string) => (name in row ? name : camelCase(name))
  for (const { name, field, bound } of openings) {
    const [key, values] = [nameIn(name), {} as Row]
    const stored = row[key]
    if ((typeof stored !== 'string' && !isUint8Array(stored)) || field.isKept(stored)) continue
    for (const each of bound) values[each.column] = row[nameIn(each.name)]
    const context = bound.length === 0 ? undefined : values
    opened[key] = typeof stored === 'string' ? await field.decrypt(stored, context) : await field.decryptBytes(stored, context)
  }
  for (const name of extra) delete opened[name]
  return opened
}
