import { isUint8Array } from 'node:util/types'
import { fail } from '../../errors.ts'
import type { ColumnsOf, EncryptedColumn } from '../../field/by-table.ts'
import type { Field } from '../../field/field.ts'
import { encryptedBy, isNode, type Node, nameOf, nodesOf, type Scope, scopeOf, tableOf } from './node.ts'

const inValues = 'Give it in the values: a number from the sequence first, or an id that the application makes'
const inWhere = 'Compare it in "where" by "=", and change rows one by one'
const together = 'It changes the column, so that the value would not open: give the value as well'
const sameRow = 'Name it in the conflict and do not change it there, so that the row is the one whose value was encrypted'

/** The value of a bound column where the query says it; undefined where it does not. */
type Known = (column: string) => unknown

/** Encrypts the values of an INSERT. @throws `ERR_ROW_UNKNOWN`, `ERR_USAGE` */
export function sealInsert(query: Node, columnsOf: ColumnsOf): Node {
  const scope = scopeOf(query.into, columnsOf)
  if (scope === null || scope.columns.length === 0) return query
  const names = nodesOf(query.columns).map(nameOf)
  const operation = `an insert into "${scope.alias}"`
  const rows = isNode(query.values) && query.values.kind === 'ValuesNode' ? nodesOf(query.values.values) : []
  const isComputed = query.values !== undefined && rows.length === 0
  // Without a list of columns it is all of them.
  const encrypted = scope.columns.filter(({ column }) => (query.columns === undefined ? isComputed : names.includes(column)))
  const [first] = encrypted
  if (isComputed && first !== undefined) throw computed(first.field, operation)
  const sealed = rows.map((row) => sealRow(row, names, encrypted, operation))
  return {
    ...query,
    ...(encrypted.length > 0 && rows.length > 0 && { values: { ...(query.values as Node), values: sealed } }),
    ...(isNode(query.onConflict) && { onConflict: sealConflict(query.onConflict, scope, rowOf(rows, names)) }),
  }
}

function sealRow(row: Node, names: readonly (string | null)[], encrypted: readonly EncryptedColumn[], operation: string): Node {
  const values = [...(row.values as readonly unknown[])]
  const known = rowOf([row], names)
  for (const { column, field } of encrypted) {
    const index = names.indexOf(column)
    values[index] =
      row.kind === 'PrimitiveValueListNode'
        ? seal(field, values[index], known, [operation, inValues])
        : sealNode(field, values[index], known, [operation, inValues])
  }
  return { ...row, values }
}

/** What the only row says; of many rows nothing is known. */
function rowOf(rows: readonly Node[], names: readonly (string | null)[]): Known {
  const values = rows.length === 1 ? (rows[0]?.values as readonly unknown[] | undefined) : undefined
  return (column) => {
    const value = values?.[names.indexOf(column)]
    return isNode(value) ? (value.kind === 'ValueNode' ? value.value : undefined) : value
  }
}

/** The row of a conflict is the one that was to be inserted where the conflict is about the bound columns, and else another. */
function sealConflict(conflict: Node, { alias, columns }: Scope, known: Known): Node {
  const target = nodesOf(conflict.columns).map(nameOf)
  const operation = `a conflict in "${alias}"`
  const set = nodesOf(conflict.updates)
  const updates = set.map((update): Node => {
    const name = nameOf(update.column)
    const found = columns.find(({ column }) => column === name)
    if (found === undefined) return assertUnbound(update, columns, set, operation)
    for (const { column } of found.field.bind)
      if (!target.includes(column) || set.some((other) => nameOf(other.column) === column))
        throw fail('ERR_ROW_UNKNOWN', found.field.name, column, operation, sameRow)
    const value = update.value as Node
    const inserted = value.kind === 'ReferenceNode' && tableOf(value) === 'excluded' && nameOf(value) === name
    return inserted ? update : { ...update, value: sealNode(found.field, value, known, [operation, inValues]) }
  })
  return { ...conflict, ...(conflict.updates !== undefined && { updates }) }
}

/** Encrypts what an UPDATE sets. @throws `ERR_ROW_UNKNOWN`, `ERR_USAGE` */
export function sealUpdate(query: Node, columnsOf: ColumnsOf): Node {
  const [target] = nodesOf(query.table)
  const scope = scopeOf(target, columnsOf)
  if (scope === null || scope.columns.length === 0) return query
  const others = query.from !== undefined || query.joins !== undefined
  const operation = `an update of "${scope.alias}"`
  const set = nodesOf(query.updates)
  const setTo: Known = (column) => {
    const value = set.find((update) => nameOf(update.column) === column)?.value
    return isNode(value) && value.kind === 'ValueNode' ? value.value : undefined
  }
  const pinned = pinnedBy(isNode(query.where) ? query.where.where : undefined, scope, others)
  const known: Known = (column) => (set.some((update) => nameOf(update.column) === column) ? setTo(column) : pinned.get(column))
  const updates = set.map((update): Node => {
    const found = encryptedBy(update.column, [scope])
    if (found === null) return assertUnbound(update, scope.columns, set, operation)
    return { ...update, value: sealNode(found.column.field, update.value, known, [operation, inWhere]) }
  })
  return { ...query, updates }
}

function assertUnbound(update: Node, columns: readonly EncryptedColumn[], set: readonly Node[], operation: string): Node {
  const name = nameOf(update.column)
  const [first] = columns
  if (name === null && first !== undefined)
    throw fail(
      'ERR_USAGE',
      `field "${first.field.name}": ${operation} names a column by an expression, which may be its own: name it by a text`,
    )
  for (const { column, field } of columns) {
    const bound = field.bind.some((each) => each.column === name)
    if (bound && !set.some((each) => nameOf(each.column) === column))
      throw fail('ERR_ROW_UNKNOWN', field.name, String(name), operation, together)
  }
  return update
}

/** What a condition says that columns of every row are equal to. */
function pinnedBy(condition: unknown, scope: Scope, others: boolean, pinned = new Map<string, unknown>()): Map<string, unknown> {
  if (!isNode(condition)) return pinned
  if (condition.kind === 'AndNode') for (const side of [condition.left, condition.right]) pinnedBy(side, scope, others, pinned)
  if (condition.kind === 'ParensNode') pinnedBy(condition.node, scope, others, pinned)
  if (condition.kind !== 'BinaryOperationNode') return pinned
  const { leftOperand: left, operator, rightOperand: right } = condition as Node & { leftOperand: Node; operator: Node; rightOperand: Node }
  const name = nameOf(left)
  const own = left.kind === 'ReferenceNode' && (tableOf(left) === null ? !others : tableOf(left) === scope.alias)
  if (own && name !== null && operator.operator === '=' && right.kind === 'ValueNode') pinned.set(name, right.value)
  return pinned
}

/** The operation, and what to do where it does not say which row it is. */
type Place = readonly [operation: string, remedy: string]

function sealNode(field: Field, node: unknown, known: Known, place: Place): unknown {
  if (!isNode(node) || node.kind === 'DefaultInsertValueNode') return node
  if (node.kind !== 'ValueNode') throw computed(field, place[0])
  return { ...node, value: seal(field, node.value, known, place) }
}

function seal(field: Field, value: unknown, known: Known, [operation, remedy]: Place): unknown {
  if (value === null || value === undefined) return value
  if (typeof value !== 'string' && !isUint8Array(value))
    throw fail('ERR_USAGE', `field "${field.name}": ${operation} gives neither text nor bytes`)
  const bound: Record<string, unknown> = {}
  for (const { column } of field.bind) {
    const found = known(column)
    if (found === undefined || found === null) throw fail('ERR_ROW_UNKNOWN', field.name, column, operation, remedy)
    bound[column] = found
  }
  return field.encryptSync(value, field.bind.length === 0 ? undefined : bound)
}

function computed(field: Field, operation: string): Error {
  return fail(
    'ERR_USAGE',
    `field "${field.name}": ${operation} has the database compute a value, which cannot be encrypted: give the value itself`,
  )
}
