import { fail } from '@keyturn/core'
import type { Secrets } from '@keyturn/secrets'
import { z } from 'zod'
import type { Caller } from '../access.ts'
import { wrongInput } from '../problem.ts'
import { type Route, route } from '../route.ts'
import type { SecretRuns } from '../secret/secret-runs.ts'
import { viewRun, viewSecret, viewSummary } from '../secret/view.ts'
import type { Server } from '../server.ts'
import { listQuery, name, page } from '../wire/common.ts'
import { operation } from '../wire/operation.ts'
import { drifts, run, runBody, runSummary, secret, secretPlan, syncBody, syncQuery } from '../wire/secret.ts'
import { accepted, asJson, pageOf, refuseRunning } from './answer.ts'
import { assertPasswordAgain } from './password-again.ts'

const named = z.strictObject({ name })

export const secretRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/secrets',
    role: 'viewer',
    summary: 'The secrets: who answers for them, how they are rotated, when they are due, and how they stand',
    query: listQuery({}),
    answers: { 200: page(secret) },
    handle: async ({ server, query }) => {
      const all = (await server.secrets?.secrets.list()) ?? []
      return pageOf(
        all.map((status) => viewSecret(server.keyturn, status)),
        (each) => each.name,
        query,
      )
    },
  }),
  route({
    method: 'GET',
    path: '/v1/secrets/sync',
    role: 'operator',
    summary: 'Compare the stores with the credentials in use; nothing is changed',
    query: syncQuery,
    answers: { 200: drifts },
    handle: async ({ server, query: { only } }) => {
      const found = await server.secrets?.secrets.sync(only === undefined ? {} : { only: [only] })
      return { items: [...(found ?? [])] }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/secrets/sync',
    role: 'operator',
    summary: 'Write the credentials in use to the stores that differ, and have the targets take them; nothing is rotated',
    body: syncBody,
    answers: { 202: operation },
    handle: async ({ server, reply, caller, body: { only } }) => {
      const { secrets } = runsOf(server, only?.[0] ?? '')
      for (const each of only ?? []) await secrets.status(each)
      const begun = await server.operations.begin({
        kind: 'sync',
        keyring: null,
        actor: (caller as Caller).actor,
        run: async (signal) => ({ items: asJson(await secrets.sync({ apply: true, signal, ...(only && { only }) })) }),
      })
      if (begun === null) throw refuseRunning('sync', 'all')
      return accepted(server, reply, `/v1/operations/${begun}`, await server.operations.find(begun))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/secrets/:name',
    role: 'viewer',
    summary: 'One secret',
    params: named,
    answers: { 200: secret },
    handle: async ({ server, params }) => viewSecret(server.keyturn, await secretsOf(server, params.name).status(params.name)),
  }),
  route({
    method: 'POST',
    path: '/v1/secrets/:name/plan',
    role: 'operator',
    summary: 'Look at everything that a rotation of it needs, at its issuer, stores, targets and gates; nothing is changed',
    params: named,
    answers: { 200: secretPlan },
    body: z.strictObject({}).default({}),
    handle: async ({ server, params }) => asJson(await secretsOf(server, params.name).plan(params.name)),
  }),
  route({
    method: 'GET',
    path: '/v1/secrets/:name/runs',
    role: 'viewer',
    summary: 'Its latest 200 runs, the newest first',
    params: named,
    query: listQuery({}),
    answers: { 200: page(runSummary) },
    handle: async ({ server, params, query }) => {
      const runs = await secretsOf(server, params.name).history(params.name, 200)
      return pageOf(runs.map(viewSummary), ({ id }) => id, query)
    },
  }),
  route({
    method: 'POST',
    path: '/v1/secrets/:name/runs',
    role: 'operator',
    summary:
      'Rotate it; the run goes on when this is answered. "leaked": the old credential is ended without a grace, also where somebody still uses it, and those who are to hear of leaks are told; "confirm" is the name of the secret',
    params: named,
    body: runBody,
    answers: { 202: run },
    handle: async ({ server, reply, caller, params, body }) => {
      const runs = runsOf(server, params.name)
      const who = caller as Caller
      if (body.leaked === true) {
        await assertPasswordAgain(server, who, body.password)
        if (body.confirm !== params.name) throw wrongInput('/confirm', 'it is not the name of the secret')
      }
      const { id } = await runs.begin(who.actor, params.name, { leaked: body.leaked === true })
      return accepted(server, reply, `/v1/runs/${id}`, viewRun(await runs.secrets.run(id)))
    },
  }),
]

/** @throws `ERR_UNKNOWN_NAME` where the configuration has no secrets */
function runsOf({ secrets }: Server, asked: string): SecretRuns {
  if (secrets === null) throw fail('ERR_UNKNOWN_NAME', 'secret', asked, '')
  return secrets
}

const secretsOf = (server: Server, asked: string): Secrets => runsOf(server, asked).secrets
