import { z } from 'zod'
import type { Caller } from '../access.ts'
import { type Route, route } from '../route.ts'
import { id } from '../wire/common.ts'
import { operation, verifyBody } from '../wire/operation.ts'
import { accepted, asJson, refuseRunning } from './answer.ts'
import { assertKeyring } from './census.ts'

export const operationRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/operations/:id',
    role: 'viewer',
    summary: 'Long work that is no rotation: how it is, and what it came to',
    params: z.strictObject({ id }),
    answers: { 200: operation },
    handle: async ({ server, params }) => await server.operations.find(params.id),
  }),
  route({
    method: 'POST',
    path: '/v1/verify',
    role: 'operator',
    summary: 'Open every value and count; nothing is changed',
    body: verifyBody,
    answers: { 202: operation },
    handle: async ({ server, reply, caller, body: { keyring } }) => {
      if (keyring !== undefined) assertKeyring(server.keyturn.config, keyring)
      const of = keyring === undefined ? {} : { keyring }
      const begun = await server.operations.begin({
        kind: 'verify',
        keyring: keyring ?? null,
        actor: (caller as Caller).actor,
        run: async (signal) => asJson(await server.keyturn.verify({ ...of, signal, ...server.pace })),
      })
      if (begun === null) throw refuseRunning('verify', keyring ?? 'all')
      return accepted(server, reply, `/v1/operations/${begun}`, await server.operations.find(begun))
    },
  }),
]
