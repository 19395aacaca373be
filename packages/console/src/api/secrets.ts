import { address } from '../base.ts'
import type { Page } from '../domain.ts'
import type { Run, RunSummary, Secret, SecretPlan } from '../secret.ts'
import { fromWire } from './from-wire.ts'
import { all, request } from './request.ts'
import type { Wire } from './wire.ts'

const at = (name: string) => `v1/secrets/${encodeURIComponent(name)}`
const run = (id: string) => `v1/runs/${encodeURIComponent(id)}`

/** GET /v1/secrets */
export const getSecrets = async () => (await all<Wire<Secret>>('v1/secrets')).map(fromWire.secret)
/** GET /v1/secrets/:name */
export const getSecret = async (name: string) => fromWire.secret(await request<Wire<Secret>>(at(name)))
/** POST /v1/secrets/:name/plan: looks at issuer, stores, targets and gates. Changes nothing. */
export const planSecret = (name: string) => request<SecretPlan>(`${at(name)}/plan`, { method: 'POST', body: {} })
/** GET /v1/secrets/:name/runs: the newest first. */
export const getRuns = async (name: string) => {
  const { items } = await request<Page<Wire<RunSummary>>>(`${at(name)}/runs`, { query: { limit: 50 } })
  return items.map(fromWire.runSummary)
}
/** POST /v1/secrets/:name/runs: rotates it. A leaked one is held to its name, and takes the password again. */
export const rotateSecret = async ({
  name,
  once,
  ...body
}: {
  name: string
  once: string
  leaked?: true
  confirm?: string
  password?: string
}) => fromWire.run(await request<Wire<Run>>(`${at(name)}/runs`, { method: 'POST', body, once }))
/** GET /v1/runs/:id */
export const getRun = async (id: string) => fromWire.run(await request<Wire<Run>>(run(id)))
/** POST /v1/runs/:id/provide: what a person was asked for. It is in this request and nowhere else. */
export const provide = async (id: string, parts: { readonly [part: string]: string }) =>
  fromWire.run(await request<Wire<Run>>(`${run(id)}/provide`, { method: 'POST', body: { parts } }))
/** POST /v1/runs/:id/resume */
export const resumeRun = async ({ id, ...body }: { id: string; remove?: readonly string[]; keep?: readonly string[] }) =>
  fromWire.run(await request<Wire<Run>>(`${run(id)}/resume`, { method: 'POST', body }))
/** POST /v1/runs/:id/rollback, /cancel, /revoke: held to the name of the secret; to revoke takes the password again. */
export const endRun = async ({
  id,
  verb,
  ...body
}: {
  id: string
  verb: 'rollback' | 'cancel' | 'revoke'
  confirm: string
  password?: string
}) => fromWire.run(await request<Wire<Run>>(`${run(id)}/${verb}`, { method: 'POST', body }))
/** GET /v1/runs/:id/events: where the stream of a run is. */
export const runEvents = (id: string): string => address(`${run(id)}/events`)
/** A message of that stream. @throws SyntaxError for what is no JSON */
export const runOf = (message: string): Run => fromWire.run(JSON.parse(message))
