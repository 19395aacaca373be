import { type FieldCensus, printReference } from '@keyturn/core'
import { type Route, route } from '../route.ts'
import type { Server } from '../server.ts'
import { listQuery, name, page } from '../wire/common.ts'
import { field } from '../wire/keyring.ts'
import { pageOf } from './answer.ts'

export const fieldRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/fields',
    role: 'viewer',
    summary: 'The fields: where their values stand, how they are written, and the latest counts',
    query: listQuery({ keyring: name.optional() }),
    answers: { 200: page(field) },
    handle: async ({ server, query }) => {
      const fields = (await viewFields(server)).filter(({ keyring }) => query.keyring === undefined || keyring === query.keyring)
      return pageOf(fields, ({ name }) => name, query)
    },
  }),
]

async function viewFields({ keyturn, censuses }: Server) {
  const kept = await censuses.all()
  const counted = new Map([...kept.values()].flatMap(({ census }) => census.fields.map((of) => [of.field, of] as const)))
  return Object.keys(keyturn.config.fields).map((name) => view(keyturn.field(name), counted.get(name)))
}

function view(field: ReturnType<Server['keyturn']['field']>, census: FieldCensus | undefined) {
  const { name, keyring, location, bind, writes, reads, sensitive } = field
  const { path: _, ...column } = location
  const place = printReference(location)
  const path = location.path === undefined ? null : place.slice(printReference(column).length + 1)
  return {
    name,
    keyring: keyring.name,
    place,
    table: location.schema === null ? location.table : `${location.schema}.${location.table}`,
    column: location.column,
    path,
    store: location.store ?? ('postgres' as const),
    bound: bind.map(({ column }) => column),
    writes: writes.name,
    reads: [...new Set(reads.map(({ codec }) => codec.name))],
    sensitive: sensitive.length > 0,
    findings: bind.length === 0 ? ['its values are bound to nothing: one that is moved to another row opens there'] : [],
    total: census === undefined ? null : census.total - census.kept,
    current: census === undefined ? null : census.groups.filter(({ current }) => current).reduce((sum, { values }) => sum + values, 0),
    unreadable: census?.unreadable ?? null,
  }
}
