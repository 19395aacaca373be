import type { ColumnsOf, EncryptedColumn } from '../../field/by-table.ts'

/** A node of Kysely's queries, by its shape: plain data with a `kind`. */
export interface Node {
  readonly kind: string
  readonly [part: string]: unknown
}

/** A table in a query, and what it is called there. */
export interface Scope {
  readonly alias: string
  readonly columns: readonly EncryptedColumn[]
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).kind === 'string'
}
export const nodesOf = (value: unknown): readonly Node[] => (Array.isArray(value) ? value : [value]).filter(isNode)

/** The name in an identifier, column, or reference to a column; null for anything else. */
export function nameOf(value: unknown): string | null {
  if (!isNode(value)) return null
  if (value.kind === 'IdentifierNode') return String(value.name)
  return value.kind === 'ColumnNode' || value.kind === 'ReferenceNode' ? nameOf(value.column) : null
}

/** Of a reference to a column, what the table before it is called; null where none is named. */
export function tableOf(reference: Node): string | null {
  const table = isNode(reference.table) ? (reference.table.table as Node | undefined) : undefined
  return table === undefined ? null : nameOf(table.identifier)
}

/** The table that a node names, perhaps under another name; null for what is no table. */
export function scopeOf(node: unknown, columnsOf: ColumnsOf): Scope | null {
  if (!isNode(node)) return null
  if (node.kind === 'AliasNode') {
    const named = scopeOf(node.node, columnsOf)
    const alias = nameOf(node.alias)
    return named && alias ? { ...named, alias } : null
  }
  if (node.kind !== 'TableNode') return null
  const { schema, identifier } = node.table as Node
  const alias = nameOf(identifier) ?? ''
  return { alias, columns: columnsOf(nameOf(schema), alias) }
}

/** The tables that a query itself reads or writes, not those of queries within it. */
export function scopesOf(query: Node, columnsOf: ColumnsOf): Scope[] {
  const from = isNode(query.from) ? nodesOf(query.from.froms) : []
  const using = isNode(query.using) ? nodesOf(query.using.tables) : []
  const joined = nodesOf(query.joins).map(({ table }) => table)
  return [query.into, ...nodesOf(query.table), ...from, ...using, ...joined].flatMap((node) => scopeOf(node, columnsOf) ?? [])
}

/** The encrypted column that a reference means, or null. Without a table before it, it is that of any table in scope that has one. */
export function encryptedBy(
  reference: unknown,
  scopes: readonly Scope[],
): { readonly scope: Scope; readonly column: EncryptedColumn } | null {
  if (!isNode(reference)) return null
  const [name, table] = [nameOf(reference), tableOf(reference)]
  for (const scope of scopes) {
    if (table !== null && table !== scope.alias) continue
    const column = scope.columns.find((each) => each.column === name)
    if (column !== undefined) return { scope, column }
  }
  return null
}
