import { z } from 'zod'
import type { Route } from './route.ts'
import { problem } from './wire/common.ts'

type Json = { readonly [name: string]: unknown }

/** The OpenAPI 3.1 document, from the table of routes. */
export function openapiDocument(
  routes: readonly Route[],
  { prefix, version }: { readonly prefix: string; readonly version: string },
): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:([A-Za-z]+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Keyturn',
      version,
      description: 'Keyrings, rotations, counts and the audit log. Cookies need the header "X-Keyturn: 1" where something is changed.',
    },
    servers: [{ url: prefix === '' ? '/' : prefix }],
    paths,
    components: {
      schemas: { Problem: schemaOf(problem, 'output') },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'An API token, kt_…' },
        session: { type: 'apiKey', in: 'cookie', name: 'keyturn', description: 'The session of a browser; over TLS it is __Host-keyturn' },
      },
    },
  }
}

/** The name of a route for programs: `post_rotations_pause`. */
const operationId = ({ method, path }: Route): string =>
  [
    method.toLowerCase(),
    ...path
      .split('/')
      .filter((part) => part !== '' && part !== 'v1')
      .map((part) => (part.startsWith(':') ? `by_${part.slice(1)}` : part)),
  ]
    .join('_')
    .replaceAll(/[^A-Za-z0-9_]/g, '_')

function operationOf(route: Route): Json {
  const { method, summary, role, body, query, params, answers } = route
  return {
    operationId: operationId(route),
    summary,
    description: role === 'anyone' ? 'For anyone.' : `For the role "${role}" and those above it.`,
    'x-keyturn-role': role,
    security: role === 'anyone' ? [] : [{ token: [] }, { session: [] }],
    parameters: [
      ...parametersOf(params, 'path'),
      ...parametersOf(query, 'query'),
      ...(method === 'POST' && role !== 'anyone' && !route.secret ? [idempotencyKey] : []),
    ],
    ...(body === undefined
      ? {}
      : { requestBody: { required: !isOptional(body), content: { 'application/json': { schema: schemaOf(body, 'input') } } } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, schema]) => [status, responseOf(route, schema)])),
      default: failing,
    },
  }
}

const idempotencyKey: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'The same key with the same body within 24 hours is done once, and answered with the first answer.',
  schema: { type: 'string', minLength: 1, maxLength: 128 },
}

const failing: Json = {
  description: 'What went wrong',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}

function responseOf({ path, method }: Route, schema: z.ZodType | null): Json {
  if (schema !== null) return { description: 'Done', content: { 'application/json': { schema: schemaOf(schema, 'output') } } }
  if (method !== 'GET') return { description: 'Done' }
  const type = path.endsWith('/events') ? 'text/event-stream' : path.endsWith('/export') ? 'application/x-ndjson' : 'text/plain'
  return { description: 'Done', content: { [type]: { schema: { type: 'string' } } } }
}

function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = schemaOf(schema, 'input') as {
    properties?: Record<string, Json>
    required?: readonly string[]
  }
  return Object.entries(properties).map(([name, of]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: of,
  }))
}

const isOptional = (schema: z.ZodType): boolean => schema.safeParse(undefined).success

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' })
  return rest as Json
}
