import { fail } from '@keyturn/core'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Access, Caller } from './access.ts'
import { answering } from './problem.ts'
import { type Route, route } from './route.ts'
import { role } from './wire/common.ts'

/** Who makes a request, by the application in which the server is mounted; null: nobody. */
export type Authorize = (request: FastifyRequest) => Caller | null | Promise<Caller | null>

/** The callers that an application vouches for. There are no users, tokens or passwords of ours then. */
export function applicationAccess(authorize: Authorize): Access {
  if (typeof authorize !== 'function')
    throw fail('ERR_USAGE', 'the server needs { access } or { authorize }: without either everybody could rotate keys')
  return {
    callerOf: async (request) => {
      const caller = await authorize(request)
      if (caller !== null && isRiddenOn(request))
        throw answering(fail('ERR_FORBIDDEN', 'it changes something by a cookie alone. Send the header "X-Keyturn: 1"'), {
          statusCode: 403,
        })
      return caller
    },
    routes: [session],
    passwordHolds: async () => false,
    close: async () => {},
  }
}

/** Whether another site may have had the browser send it: a cookie goes along with such requests, and a header of ours does not. */
function isRiddenOn({ method, headers }: FastifyRequest): boolean {
  if (method === 'GET' || method === 'HEAD') return false
  if (headers.cookie === undefined || headers.authorization !== undefined) return false
  const site = headers['sec-fetch-site']
  return headers['x-keyturn'] !== '1' || (site !== undefined && site !== 'same-origin' && site !== 'none')
}

const session: Route = route({
  method: 'GET',
  path: '/v1/session',
  role: 'anyone',
  summary: 'Who makes this request, by the application',
  answers: {
    200: z.object({ user: z.object({ id: z.string(), name: z.string(), role }).nullable(), token: z.null(), setup: z.literal(false) }),
  },
  handle: async ({ caller }) => ({
    user: caller === null ? null : { id: caller.id, name: caller.name, role: caller.role },
    token: null,
    setup: false as const,
  }),
})
