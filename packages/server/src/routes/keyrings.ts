import { fail, type KeyringStatus } from '@keyturn/core'
import { z } from 'zod'
import type { Caller } from '../access.ts'
import { countsOf } from '../censuses.ts'
import { periodSeconds } from '../period.ts'
import { wrongInput } from '../problem.ts'
import { type Route, route } from '../route.ts'
import type { Server } from '../server.ts'
import { id, listQuery, name, page } from '../wire/common.ts'
import { destroyBody, keyring, retireBody } from '../wire/keyring.ts'
import { operation } from '../wire/operation.ts'
import { accepted, asJson, pageOf, refuseRunning } from './answer.ts'
import { assertKeyring } from './census.ts'
import { assertPasswordAgain } from './password-again.ts'

const named = z.strictObject({ name })
const version = z.strictObject({ name, id })

export const keyringRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/keyrings',
    role: 'viewer',
    summary: 'The keyrings: their key versions, what is due, and the latest counts',
    query: listQuery({}),
    answers: { 200: page(keyring) },
    handle: async ({ server, query }) => pageOf(await viewKeyrings(server), ({ name }) => name, query),
  }),
  route({
    method: 'GET',
    path: '/v1/keyrings/:name',
    role: 'viewer',
    summary: 'One keyring',
    params: named,
    answers: { 200: keyring },
    handle: async ({ server, params }) => await viewKeyring(server, params.name),
  }),
  route({
    method: 'POST',
    path: '/v1/keyrings/:name/versions/:id/retire',
    role: 'operator',
    summary: 'Have the database refuse a retiring key version, check every row, and retire it',
    params: version,
    body: retireBody,
    answers: { 202: operation },
    handle: async ({ server, reply, caller, params, body }) => {
      assertBecomes(await statusOf(server, params.name), params.id, { from: 'retiring', to: 'retired' })
      const { actor } = caller as Caller
      const options = { versions: [params.id], ...(body.acceptSetAside === undefined ? {} : { acceptSetAside: body.acceptSetAside }) }
      const run = async (signal: AbortSignal) => ({
        retirements: asJson(await server.keyturn.retire(params.name, { ...options, signal, ...server.pace })),
      })
      const begun = await server.operations.begin({ kind: 'retire', keyring: params.name, actor, run })
      if (begun === null) throw refuseRunning('retire', params.name)
      return accepted(server, reply, `/v1/operations/${begun}`, await server.operations.find(begun))
    },
  }),
  route({
    method: 'POST',
    path: '/v1/keyrings/:name/versions/:id/destroy',
    role: 'admin',
    summary: 'Erase the material of a retired key version, for good',
    params: version,
    body: destroyBody,
    answers: { 200: keyring },
    handle: async ({ server, caller, params, body }) => {
      const { confirm, password, now } = body
      await assertPasswordAgain(server, caller as Caller, password)
      if (confirm !== params.name) throw wrongInput('/confirm', 'it is not the name of the keyring')
      assertBecomes(await statusOf(server, params.name), params.id, { from: 'retired', to: 'destroyed' })
      await server.keyturn.destroy(params.name, params.id, now === true ? { now } : {})
      return await viewKeyring(server, params.name)
    },
  }),
]

async function statusOf({ keyturn, keyrings }: Server, name: string): Promise<KeyringStatus> {
  assertKeyring(keyturn.config, name)
  const status = (await keyrings()).find((one) => one.name === name)
  if (status === undefined) throw fail('ERR_UNKNOWN_NAME', 'keyring', name, '')
  return status
}

function assertBecomes({ name, versions }: KeyringStatus, id: string, { from, to }: { readonly from: string; readonly to: string }): void {
  const version = versions.find((one) => one.id === id)
  if (version === undefined) throw fail('ERR_UNKNOWN_NAME', 'key version', id, '')
  if (version.state !== from) throw fail('ERR_KEY_STATE', name, id, version.state, to)
}

async function viewKeyring(server: Server, name: string) {
  return await view(server, await statusOf(server, name))
}

async function viewKeyrings(server: Server) {
  return await Promise.all((await server.keyrings()).map((status) => view(server, status)))
}

async function view({ keyturn, censuses }: Server, status: KeyringStatus) {
  const kept = (await censuses.all()).get(status.name)
  const configured = keyturn.config.keyrings[status.name]
  const { period, automatic = false } = configured !== undefined && 'root' in configured ? configured : { period: undefined }
  return asJson({
    ...status,
    policy: { periodSeconds: period === undefined ? null : periodSeconds(period), automatic },
    census: kept === undefined ? null : countsOf(kept),
  })
}
