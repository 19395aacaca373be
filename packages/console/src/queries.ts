import { QueryClient, queryOptions } from '@tanstack/react-query'
import * as keyrings from './api/keyrings.ts'
import { getLeak } from './api/leaks.ts'
import * as people from './api/people.ts'
import { asProblem, unreachable } from './api/problem.ts'
import * as rotations from './api/rotations.ts'
import * as secrets from './api/secrets.ts'
import { getSession } from './api/session.ts'
import type { LeakAsked } from './leak.ts'
import { isCertifying } from './words/states.ts'

const often = 5_000
const seldom = 30_000

/** What the pages know of the server, by name. A change names what it makes stale. */
export const queries = {
  session: () => queryOptions({ queryKey: ['session'], queryFn: getSession, staleTime: Number.POSITIVE_INFINITY }),
  keyrings: () => queryOptions({ queryKey: ['keyrings'], queryFn: keyrings.getKeyrings, refetchInterval: often }),
  keyring: (name: string) =>
    queryOptions({ queryKey: ['keyrings', name], queryFn: () => keyrings.getKeyring(name), refetchInterval: often }),
  fields: () => queryOptions({ queryKey: ['fields'], queryFn: keyrings.getFields, refetchInterval: seldom }),
  census: (keyring?: string) =>
    queryOptions({
      queryKey: ['census', keyring ?? ''],
      queryFn: () => keyrings.getCensus(keyring),
      refetchInterval: ({ state }) => (state.data?.some(({ running }) => running) ? 1_000 : seldom),
    }),
  rotations: (keyring?: string) =>
    queryOptions({
      queryKey: ['rotations', 'newest', keyring ?? ''],
      queryFn: async () => (await rotations.getRotations({ keyring, limit: 50 })).items,
      refetchInterval: often,
    }),
  rotation: (id: string) =>
    queryOptions({
      queryKey: ['rotations', 'one', id],
      queryFn: () => rotations.getRotation(id),
      // Live otherwise: see `useLiveRotation`.
      refetchInterval: ({ state }) => (state.data !== undefined && isCertifying(state.data) ? 1_500 : false),
    }),
  certificate: (id: string) => queryOptions({ queryKey: ['rotations', 'certificate', id], queryFn: () => rotations.getCertificate(id) }),
  operation: (id: string) =>
    queryOptions({
      queryKey: ['operations', id],
      queryFn: () => keyrings.getOperation(id),
      refetchInterval: ({ state }) => (state.data === undefined || state.data.state === 'running' ? 700 : false),
    }),
  secrets: () => queryOptions({ queryKey: ['secrets'], queryFn: secrets.getSecrets, refetchInterval: often }),
  secret: (name: string) =>
    queryOptions({ queryKey: ['secrets', 'one', name], queryFn: () => secrets.getSecret(name), refetchInterval: often }),
  runs: (name: string) =>
    queryOptions({ queryKey: ['secrets', 'runs', name], queryFn: () => secrets.getRuns(name), refetchInterval: often }),
  // Under the secrets: what changes one of them makes it stale.
  leak: (asked: LeakAsked) => queryOptions({ queryKey: ['secrets', 'leak', asked], queryFn: () => getLeak(asked), refetchInterval: often }),
  // Live otherwise: see `useLiveRun`.
  run: (id: string) => queryOptions({ queryKey: ['runs', id], queryFn: () => secrets.getRun(id) }),
  users: () => queryOptions({ queryKey: ['users'], queryFn: people.getUsers }),
  tokens: () => queryOptions({ queryKey: ['tokens'], queryFn: people.getTokens }),
}

/** Nobody is logged in any more: what was known belongs to the session that ended. */
export function forgetSession(client: QueryClient): void {
  client.setQueryData(queries.session().queryKey, { user: null, setup: false })
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'session' })
}

/** What is known, kept for the life of the page. */
export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      // What was refused is refused again; a server that does not answer may be restarting.
      retry: (failures, error) => asProblem(error).code === unreachable && failures < 2,
      retryDelay: 800,
    },
  },
})
