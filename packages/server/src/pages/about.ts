import { z } from 'zod'
import { Metrics, type PoolCounts } from '../metrics.ts'
import { openapiDocument } from '../openapi.ts'
import { type Route, route } from '../route.ts'
import type { Server } from '../server.ts'
import { documentationPage, documentationStyle } from './documentation.ts'

const health = z.object({
  status: z.enum(['ok', 'failing']),
  version: z.string(),
  components: z.record(z.string(), z.enum(['ok', 'failing', 'paused'])),
})

/** What the server says of itself: how it is, what it measures, what its API is. */
export function aboutRoutes(
  server: Server,
  { api, pool, version }: { readonly api: readonly Route[]; readonly pool: PoolCounts | null; readonly version: string },
): { readonly routes: readonly Route[]; readonly metrics: Metrics } {
  const metrics = new Metrics(server, pool)
  const about: Route[] = [
    route({
      method: 'GET',
      path: '/health',
      role: 'anyone',
      summary: 'How the server and its components are',
      answers: { 200: health, 503: health },
      handle: async ({ reply }) => {
        const found = await server.health()
        if (found.status !== 'ok') reply.code(503)
        return { ...found, components: { ...found.components } }
      },
    }),
    text('/metrics', 'Measurements, as Prometheus reads them', async () => ({ type: metrics.contentType, body: await metrics.text() })),
  ]
  const all = [...api, ...about]
  const document = openapiDocument(all, { prefix: server.prefix, version })
  const page = documentationPage(all, document, server.prefix)
  return {
    metrics,
    routes: [
      ...about,
      text('/openapi.json', 'This API, as OpenAPI 3.1', async () => ({ type: 'application/json', body: JSON.stringify(document) })),
      text('/docs', 'This API, as a page', async () => ({ type: 'text/html; charset=utf-8', body: page })),
      text('/docs.css', 'The style of that page', async () => ({ type: 'text/css; charset=utf-8', body: documentationStyle })),
    ],
  }
}

function text(path: string, summary: string, make: () => Promise<{ readonly type: string; readonly body: string }>): Route {
  return route({
    method: 'GET',
    path,
    role: 'viewer',
    summary,
    answers: { 200: null },
    handle: async ({ reply }) => {
      const { type, body } = await make()
      return reply.type(type).send(body)
    },
  })
}
