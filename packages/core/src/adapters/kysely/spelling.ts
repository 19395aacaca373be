import { fail } from '../../errors.ts'
import type { Field } from '../../field/field.ts'
import { isNode, type Node, nameOf, nodesOf } from './node.ts'

/** As `CamelCasePlugin` writes a name. */
export const camelCase = (name: string) => name.replaceAll(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())

/**
 * Looks for the names of encrypted columns as `CamelCasePlugin` has them. Where it stands behind this plugin it has not translated them yet, none
 * of them is known here, and every value would be written in the clear without a word.
 *
 * @returns what throws `ERR_USAGE` for such an INSERT or UPDATE
 */
export function spellingOf(fields: readonly Field[]): (query: Node) => void {
  const others = new Map<string, Field>()
  for (const field of fields) {
    const { table, column, store } = field.location
    const key = keyOf(camelCase(table), camelCase(column))
    if (store === undefined && key !== keyOf(table, column)) others.set(key, field)
  }
  return (query) => {
    const [table, columns] = writtenBy(query)
    for (const column of columns) {
      const field = others.get(keyOf(table, column))
      if (field === undefined) continue
      const { location } = field
      throw fail(
        'ERR_USAGE',
        `field "${field.name}": "${table}.${column}" is what CamelCasePlugin calls ${location.table}.${location.column}. Name it before this plugin in the list of plugins`,
      )
    }
  }
}

const keyOf = (table: string | null, column: string | null) => JSON.stringify([table, column])

function writtenBy(query: Node): [table: string | null, columns: readonly (string | null)[]] {
  if (query.kind === 'InsertQueryNode') return [tableName(query.into), nodesOf(query.columns).map(nameOf)]
  if (query.kind === 'UpdateQueryNode')
    return [tableName(nodesOf(query.table)[0]), nodesOf(query.updates).map(({ column }) => nameOf(column))]
  return [null, []]
}

function tableName(node: unknown): string | null {
  if (!isNode(node)) return null
  if (node.kind === 'AliasNode') return tableName(node.node)
  return node.kind === 'TableNode' ? nameOf((node.table as Node).identifier) : null
}
