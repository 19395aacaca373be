import { type Certificate, type ErrorCode, errorCodes, fail, type Plan, readPlan, writePlan } from '@keyturn/core'
import { z } from 'zod'
import type { Caller } from '../access.ts'
import { wrongInput } from '../problem.ts'
import { eventStream } from '../rotation/events.ts'
import { viewRotations } from '../rotation/view.ts'
import { type Route, type RouteContext, route } from '../route.ts'
import type { Server } from '../server.ts'
import { count, id, listQuery, name, nothing, page } from '../wire/common.ts'
import { certificate, released, rotation, rotationBody, rotationStates, setAside, type WireRotation } from '../wire/rotation.ts'
import { accepted, asJson } from './answer.ts'
import { defined } from './plans.ts'

const one = z.strictObject({ id })
type OfOne = RouteContext<z.output<typeof one>>

export const rotationRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/rotations',
    role: 'viewer',
    summary: 'The rotations, the newest first',
    query: listQuery({ keyring: name.optional(), state: z.enum(rotationStates).optional() }),
    answers: { 200: page(rotation) },
    handle: async ({ server, query }) => {
      const { items, next } = await server.keyturn.rotations.list(defined(query))
      return { items: await viewRotations(server.state, items), next }
    },
  }),
  route({
    method: 'POST',
    path: '/v1/rotations',
    role: 'operator',
    summary: 'Make a new key active and rewrite every value under it; the rotation goes on when this is answered',
    body: rotationBody,
    answers: { 202: rotation },
    handle: async ({ server, reply, caller, body }) => {
      const { keyring, plan, ...options } = body
      const held = plan === undefined ? {} : { plan: checkedPlan(plan) }
      const id = await server.runner.rotate((caller as Caller).actor, keyring, { ...defined(options), ...held })
      return accepted(server, reply, `/v1/rotations/${id}`, await viewRotation(server, id))
    },
  }),
  route({
    method: 'GET',
    path: '/v1/rotations/:id',
    role: 'viewer',
    summary: 'One rotation: how far it is, and how fast',
    params: one,
    answers: { 200: rotation },
    handle: async ({ server, params }) => await viewRotation(server, params.id),
  }),
  acting('pause', 'Have its process finish the batch and pause', async ({ server, params }) => {
    await server.keyturn.pause(params.id)
  }),
  acting('resume', 'Go on with a rotation that was paused, that waits, or that nobody runs', async ({ server, params, caller }) => {
    await server.runner.resume((caller as Caller).actor, params.id)
  }),
  acting('cancel', 'End an unfinished rotation; every value stays readable', async ({ server, params }) => {
    await server.keyturn.cancel(params.id)
  }),
  route({
    method: 'POST',
    path: '/v1/rotations/:id/release',
    role: 'operator',
    summary: 'End the hold of a transaction, once the application has its new key',
    params: one,
    body: nothing,
    answers: { 200: released },
    handle: async ({ server, params }) => ({ tables: [...(await server.keyturn.release(params.id))] }),
  }),
  route({
    method: 'GET',
    path: '/v1/rotations/:id/set-aside',
    role: 'viewer',
    summary: 'The values that it left as they are, and why',
    params: one,
    query: listQuery({}),
    answers: { 200: page(setAside).extend({ total: count }) },
    handle: async ({ server, params, query }) => {
      const { items, ...rest } = await server.keyturn.rotations.setAside(params.id, defined(query))
      return { items: items.map((item) => ({ ...item, row: { ...item.row }, what: meaningOf(item.reason) })), ...rest }
    },
  }),
  route({
    method: 'GET',
    path: '/v1/rotations/:id/certificate',
    role: 'viewer',
    summary: 'The signed certificate of a completed rotation',
    params: one,
    answers: { 200: certificate },
    handle: async ({ server, params }) => await certificateOf(server, params.id),
  }),
  route({
    method: 'GET',
    path: '/v1/rotations/:id/events',
    role: 'viewer',
    summary: 'The rotation at each of its changes, as server-sent events, until it is over',
    params: one,
    answers: { 200: null },
    handle: async ({ server, request, reply, params }) => {
      // Refused before the stream begins where there is none.
      await server.keyturn.rotations.get(params.id)
      return eventStream(server, { request, reply }, { event: 'rotation', id: params.id, watch: server.watch })
    },
  }),
]

/** One rotation, as it is shown. */
export async function viewRotation({ keyturn, state }: Pick<Server, 'keyturn' | 'state'>, id: string): Promise<WireRotation> {
  const [view] = await viewRotations(state, [await keyturn.rotations.get(id)])
  return view as WireRotation
}

/** What is asked of a rotation, and answered with how it is then. */
function acting(what: 'pause' | 'resume' | 'cancel', summary: string, act: (context: OfOne) => Promise<void>): Route {
  return route({
    method: 'POST',
    path: `/v1/rotations/:id/${what}`,
    role: 'operator',
    summary,
    params: one,
    body: nothing,
    answers: { 202: rotation },
    handle: async (context) => {
      const { server, reply, params } = context
      await act(context)
      return accepted(server, reply, `/v1/rotations/${params.id}`, await viewRotation(server, params.id))
    },
  })
}

/** A plan that was given back, as `POST /v1/plans` gave it. */
function checkedPlan(given: object): Plan {
  try {
    return readPlan(writePlan(given as Plan))
  } catch {
    throw wrongInput('/plan', 'it is not a plan as POST /v1/plans answers it')
  }
}

/** What a reason means, in a sentence: that of its code, without the names that it has in an error. */
function meaningOf(reason: ErrorCode): string {
  return errorCodes[reason][1].replace(/^field "%s": /, '').replaceAll('%s', '…')
}

async function certificateOf({ keyturn }: Server, id: string): Promise<Certificate> {
  const found = (await keyturn.certificates()).find(({ subject }) => subject === `rotation/${id}`)
  if (found === undefined) throw fail('ERR_NOT_FOUND', 'the certificate of this rotation')
  return asJson(found.certificate)
}
