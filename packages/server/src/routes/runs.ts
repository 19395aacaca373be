import { fail } from '@keyturn/core'
import type { Run, Secrets } from '@keyturn/secrets'
import { z } from 'zod'
import type { Caller } from '../access.ts'
import { wrongInput } from '../problem.ts'
import { eventStream } from '../rotation/events.ts'
import { type Route, type RouteContext, route } from '../route.ts'
import type { SecretRuns } from '../secret/secret-runs.ts'
import { viewRun } from '../secret/view.ts'
import type { Server } from '../server.ts'
import { id } from '../wire/common.ts'
import { confirmBody, provideBody, resumeBody, revokeBody, run, type WireRun } from '../wire/secret.ts'
import { accepted } from './answer.ts'
import { assertPasswordAgain } from './password-again.ts'
import { defined } from './plans.ts'

const one = z.strictObject({ id })
type Of<B> = RouteContext<z.output<typeof one>, unknown, B>

export const runRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/runs/:id',
    role: 'viewer',
    summary: 'One rotation of a secret: its steps with their evidence, and what it asks a person for',
    params: one,
    answers: { 200: run },
    handle: async ({ server, params }) => await look(server, params.id),
  }),
  route({
    method: 'POST',
    path: '/v1/runs/:id/provide',
    role: 'operator',
    summary: 'Give what its task asks for; it is sealed at once, and shown to nobody again',
    params: one,
    body: provideBody,
    secret: true,
    answers: { 202: run },
    handle: (context) => asked(context, (secrets, runId) => secrets.provide(runId, context.body.parts)),
  }),
  route({
    method: 'POST',
    path: '/v1/runs/:id/resume',
    role: 'operator',
    summary: 'Go on with a run that is paused or waits: its step is tried at once. Says of ids that it asks about whose they are',
    params: one,
    body: resumeBody,
    answers: { 202: run },
    handle: (context) => asked(context, (secrets, runId) => secrets.resume(runId, defined(context.body))),
  }),
  route({
    method: 'POST',
    path: '/v1/runs/:id/rollback',
    role: 'operator',
    summary:
      'Go back to the credential from before, which is possible until that one is being revoked. "confirm" is the name of the secret',
    params: one,
    body: confirmBody,
    answers: { 202: run },
    handle: async (context) => {
      await confirmed(context)
      return await asked(context, (secrets, runId) => secrets.rollback(runId))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/runs/:id/revoke',
    role: 'operator',
    summary: 'Revoke the old credential now, also where somebody still uses it. "confirm" is the name of the secret',
    params: one,
    body: revokeBody,
    answers: { 202: run },
    handle: async (context) => {
      const { caller, server, body } = context
      await assertPasswordAgain(server, caller as Caller, body.password)
      await confirmed(context)
      return await asked(context, (secrets, runId) => secrets.revoke(runId))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/runs/:id/cancel',
    role: 'operator',
    summary: 'End a run that has made nothing yet; one that has goes back. "confirm" is the name of the secret',
    params: one,
    body: confirmBody,
    answers: { 202: run },
    handle: async (context) => {
      await confirmed(context)
      return await asked(context, (secrets, runId) => secrets.cancel(runId))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/runs/:id/events',
    role: 'viewer',
    summary: 'The run at each of its changes, as server-sent events, until it is over',
    params: one,
    answers: { 200: null },
    handle: async ({ server, request, reply, params }) => {
      // Refused before the stream begins where there is none.
      await look(server, params.id)
      return eventStream(server, { request, reply }, { event: 'run', id: params.id, watch: server.watchRuns })
    },
  }),
]

/** @throws `ERR_UNKNOWN_NAME` where the configuration has no secrets */
function runsOf({ secrets }: Server, runId: string): SecretRuns {
  if (secrets === null) throw fail('ERR_UNKNOWN_NAME', 'run', runId, '')
  return secrets
}

async function look(server: Server, runId: string): Promise<WireRun> {
  return viewRun(await runsOf(server, runId).secrets.run(runId))
}

/** @throws `ERR_INPUT` where another name was typed */
async function confirmed({ server, params, body }: Of<{ readonly confirm: string }>): Promise<void> {
  const { secret } = await look(server, params.id)
  if (body.confirm !== secret) throw wrongInput('/confirm', 'it is not the name of the secret')
}

/** Asks something of a run, and answers with how it is then. */
async function asked<B>({ server, reply, params }: Of<B>, what: (secrets: Secrets, runId: string) => Promise<Run>): Promise<WireRun> {
  await runsOf(server, params.id).ask(params.id, (secrets) => what(secrets, params.id))
  return accepted(server, reply, `/v1/runs/${params.id}`, await look(server, params.id))
}
