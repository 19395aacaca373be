import { fail, nearest } from '@keyturn/core'
import { z } from 'zod'
import type { Caller } from '../access.ts'
import { type Route, route } from '../route.ts'
import type { Server } from '../server.ts'
import { name } from '../wire/common.ts'
import { censuses, ofKeyring } from '../wire/keyring.ts'
import { accepted, asJson } from './answer.ts'

export const censusRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/census',
    role: 'viewer',
    summary: 'The latest counts of values by key and format, of one keyring or of all',
    query: z.strictObject({ keyring: name.optional() }),
    answers: { 200: censuses },
    handle: async ({ server, query }) => ({ censuses: await viewCensuses(server, query.keyring) }),
  }),
  route({
    method: 'POST',
    path: '/v1/census',
    role: 'operator',
    summary: 'Count the values of a keyring again, in the background; one count of a keyring at a time',
    body: ofKeyring,
    answers: { 202: censuses },
    handle: async ({ server, reply, caller, body: { keyring } }) => {
      assertCountable(server, keyring)
      await server.censuses.take(keyring, (caller as Caller).actor)
      return accepted(server, reply, `/v1/census?keyring=${encodeURIComponent(keyring)}`, { censuses: await viewCensuses(server, keyring) })
    },
  }),
]

function assertCountable({ keyturn: { config } }: Server, keyring: string): void {
  assertKeyring(config, keyring)
  if (!Object.values(config.fields).some((field) => field.keyring === keyring))
    throw fail('ERR_USAGE', `keyring "${keyring}" has no field to count`)
}

/** @throws `ERR_UNKNOWN_NAME` */
export function assertKeyring({ keyrings }: Server['keyturn']['config'], name: string): void {
  if (!Object.hasOwn(keyrings, name)) throw fail('ERR_UNKNOWN_NAME', 'keyring', name, nearest(name, Object.keys(keyrings)))
}

async function viewCensuses({ keyturn: { config }, censuses, operations }: Server, only: string | undefined) {
  if (only !== undefined) assertKeyring(config, only)
  const [kept, running] = await Promise.all([censuses.all(), operations.running('census')])
  const names = [...new Set(Object.values(config.fields).map(({ keyring }) => keyring))].filter(
    (name) => only === undefined || name === only,
  )
  return names.map((keyring) => {
    const { at = null, census = null } = kept.get(keyring) ?? {}
    return { keyring, at, running: running.has(keyring), census: asJson(census) }
  })
}
