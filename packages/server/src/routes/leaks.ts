import { fail } from '@keyturn/core'
import { type LeakedKey, leakOfKey, leakOfSecret, leakTime } from '@keyturn/secrets'
import { wrongInput } from '../problem.ts'
import { type Route, route } from '../route.ts'
import type { Server } from '../server.ts'
import { leak, leakQuery, type WireLeak } from '../wire/leak.ts'
import { asJson } from './answer.ts'
import { assertKeyring } from './census.ts'

export const leakRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/leaks',
    role: 'viewer',
    summary:
      'What a leaked key ("key": app, or app/aaaqeaye) or secret opens, what mends it in this order, and what is still exposed. Values are those of the latest count; nothing is opened and nothing is changed',
    query: leakQuery,
    answers: { 200: leak },
    handle: async ({ server, query: { key, secret, since } }) => {
      if (key === undefined ? secret === undefined : secret !== undefined)
        throw wrongInput(key === undefined ? '/key' : '/secret', 'name either a key or a secret')
      if (secret !== undefined) return await ofSecret(server, secret, since)
      if (since !== undefined) throw wrongInput('/since', 'it goes with a secret. A key is looked at by what stands under it')
      return await ofKey(server, key ?? '')
    },
  }),
]

async function ofSecret({ secrets }: Server, name: string, since: string | undefined): Promise<WireLeak> {
  if (secrets === null) throw fail('ERR_UNKNOWN_NAME', 'secret', name, '')
  const found = await leakOfSecret(secrets.secrets, name, since === undefined ? {} : { since: timeOf(since) })
  return { ...asJson(found as WireLeak), countedAt: null, counting: false }
}

/** @throws `ERR_INPUT` */
function timeOf(text: string): number {
  try {
    return leakTime(text)
  } catch {
    throw wrongInput('/since', 'a time is written as 2026-11-21 or 2026-11-21T10:00:00Z')
  }
}

/** Answered from the count that is kept: whoever may look must not be able to have every row read again and again. */
async function ofKey(server: Server, named: string): Promise<WireLeak> {
  const { keyturn, secrets, censuses, operations } = server
  const leaked = keyOf(named)
  assertKeyring(keyturn.config, leaked.keyring)
  const [kept, running] = await Promise.all([censuses.all(), operations.running('census')])
  const { at = null, census = null } = kept.get(leaked.keyring) ?? {}
  const found = await leakOfKey(keyturn, secrets?.secrets ?? null, { ...leaked, census })
  const counts = found.opens.some(({ what }) => what === 'field')
  return { ...asJson(found as WireLeak), countedAt: counts ? at : null, counting: counts && running.has(leaked.keyring) }
}

/** `app/aaaqeaye` is one version of `app`. Names of keyrings hold no slash; ids of keys that stand in files may. */
function keyOf(named: string): LeakedKey {
  const slash = named.indexOf('/')
  return slash < 0 ? { keyring: named } : { keyring: named.slice(0, slash), version: named.slice(slash + 1) }
}
