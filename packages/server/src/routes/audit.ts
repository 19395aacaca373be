import { Readable } from 'node:stream'
import { eventLine, type Keyturn, type LoggedEvent } from '@keyturn/core'
import { type Route, route } from '../route.ts'
import { auditEvent, auditQuery, auditReport, expectQuery } from '../wire/audit.ts'
import { page } from '../wire/common.ts'
import { asJson } from './answer.ts'
import { defined } from './plans.ts'

export const auditRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/audit',
    role: 'viewer',
    summary: 'The events of the audit log, the newest first',
    query: auditQuery,
    answers: { 200: page(auditEvent) },
    handle: async ({ server, query }) => {
      const { items, next } = await server.keyturn.audit.list(defined(query))
      return { items: items.map(viewEvent), next }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/audit/verify',
    role: 'operator',
    summary: 'Check every event of the audit log; with "expect", that it holds a head that was kept elsewhere',
    query: expectQuery,
    answers: { 200: auditReport },
    handle: async ({ server, query: { expect } }) => asJson(await server.keyturn.audit.verify(expect === undefined ? {} : { expect })),
  }),
  route({
    method: 'GET',
    path: '/v1/audit/export',
    role: 'operator',
    summary: 'The audit log, a line of JSON for each event',
    answers: { 200: null },
    handle: async ({ server, reply }) =>
      reply
        .header('content-disposition', 'attachment; filename="audit.jsonl"')
        .type('application/x-ndjson; charset=utf-8')
        .send(Readable.from(lines(server.keyturn), { objectMode: false })),
  }),
]

const viewEvent = ({ seq, at, actor, action, subject, data, hash }: LoggedEvent) => ({
  ...{ seq, at, actor, action, subject },
  data: asJson(data),
  hash: Buffer.from(hash).toString('hex'),
})

async function* lines({ audit }: Keyturn): AsyncGenerator<Buffer> {
  for await (const event of audit.events()) yield Buffer.from(`${eventLine(event)}\n`)
}
