import type { KyselyPlugin } from 'kysely'
import { fail } from '../errors.ts'
import { type ColumnsOf, encryptedColumns } from '../field/by-table.ts'
import type { KeySource } from '../with-fresh-keys.ts'
import { encryptedBy, isNode, type Node, type Scope, scopesOf } from './kysely/node.ts'
import { openRow, type Reading, widen } from './kysely/read.ts'
import { spellingOf } from './kysely/spelling.ts'
import { sealInsert, sealUpdate } from './kysely/write.ts'

export interface KyselyOptions {
  /** Names of the fields to take care of; all unless given. */
  readonly fields?: readonly string[]
}

/**
 * A plugin for Kysely: what is inserted and updated is encrypted, what is selected or returned is decrypted. The column types of the
 * database interface stay those of the plaintexts.
 *
 * - Bound columns must be in the values of an insert, and compared by `=` in the `where` of an update (`ERR_ROW_UNKNOWN`). For reading they are
 *   asked for as well, and taken out of the rows.
 * - An encrypted column can be compared with null, and with nothing else (`ERR_NOT_SEARCHABLE`).
 * - What the database computes (`sql`, `insert … select`, `merge`) cannot be encrypted, and is refused (`ERR_USAGE`).
 * - Kysely's plugins cannot wait while a query is made: `withFreshKeys` around it for more than 1,000 values at once, and for the refusal of a
 *   retired key. Reading waits.
 * - Columns of subqueries and of common table expressions, and raw queries, give what is stored.
 *
 * With `CamelCasePlugin`: after it in the list. The other way round a write is refused (`ERR_USAGE`), as far as the names differ.
 *
 * @example
 * import { open } from '@keyturn/core'
 *
 * const keyturn = await open(config, { pool })
 * const plugin = kyselyPlugin(keyturn) // new Kysely({ dialect, plugins: [plugin] })
 * await keyturn.close()
 */
export default function kyselyPlugin(keyturn: KeySource, { fields }: KyselyOptions = {}): KyselyPlugin {
  const columnsOf = encryptedColumns(keyturn, fields)
  const assertSpelled = spellingOf((fields ?? Object.keys(keyturn.config.fields)).map((name) => keyturn.field(name)))
  const readings = new WeakMap<object, Reading>()
  return {
    transformQuery: ({ node, queryId }) => {
      const sealed = sealedWithin(node as unknown as Node, { columnsOf, assertSpelled }, []) as Node
      const { query, reading } = widen(sealed, columnsOf)
      if (reading.openings.length > 0) readings.set(queryId, reading)
      return query as never
    },
    transformResult: async ({ result, queryId }) => {
      const reading = readings.get(queryId)
      if (reading === undefined) return result
      const rows = []
      for (const row of result.rows) rows.push(await openRow(row, reading))
      return { ...result, rows }
    },
  }
}

interface Sealing {
  readonly columnsOf: ColumnsOf
  readonly assertSpelled: (query: Node) => void
}

/** Encrypts in a query and in all queries within it, and refuses comparisons on the way. */
function sealedWithin(value: unknown, sealing: Sealing, outer: readonly Scope[]): unknown {
  if (Array.isArray(value)) return value.map((each) => sealedWithin(each, sealing, outer))
  // Values of the application are not looked into.
  if (!isNode(value) || value.kind === 'ValueNode' || value.kind === 'PrimitiveValueListNode') return value
  const { columnsOf, assertSpelled } = sealing
  const scopes = [...scopesOf(value, columnsOf), ...outer]
  assertSpelled(value)
  assertSearchable(value, scopes)
  const within = Object.fromEntries(Object.entries(value).map(([part, each]) => [part, sealedWithin(each, sealing, scopes)])) as Node
  if (within.kind === 'InsertQueryNode') return sealInsert(within, columnsOf)
  if (within.kind === 'UpdateQueryNode') return sealUpdate(within, columnsOf)
  return within
}

const ofNull = ['is', 'is not']

function assertSearchable(node: Node, scopes: readonly Scope[]): void {
  if (node.kind === 'MergeQueryNode') {
    const [first] = scopes.flatMap(({ columns }) => columns)
    if (first !== undefined)
      throw fail('ERR_USAGE', `field "${first.field.name}": what MERGE writes is not encrypted. Insert with a conflict clause`)
  }
  if (node.kind === 'BinaryOperationNode') {
    const operator = (node.operator as Node).operator
    const compared = [node.leftOperand, node.rightOperand].flatMap((side) =>
      isNode(side) && side.kind === 'TupleNode' ? side.values : [side],
    )
    for (const side of compared) if (!ofNull.includes(String(operator))) refuse(side, scopes, `"${operator}"`)
  }
  if (node.kind === 'OrderByItemNode') refuse(node.orderBy, scopes, '"order by"')
  if (node.kind === 'GroupByItemNode') refuse(node.groupBy, scopes, '"group by"')
}

function refuse(reference: unknown, scopes: readonly Scope[], what: string): void {
  const found = isNode(reference) && reference.kind === 'ReferenceNode' ? encryptedBy(reference, scopes) : null
  if (found !== null) throw fail('ERR_NOT_SEARCHABLE', found.column.field.name, `${what} on "${found.scope.alias}"`)
}
