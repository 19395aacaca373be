import type { Field } from '../domain.ts'
import type { Operation } from '../record.ts'
import { fromWire } from './from-wire.ts'
import { all, request } from './request.ts'
import type { WireCensus, WireKeyring } from './wire.ts'

const at = (name: string) => `v1/keyrings/${encodeURIComponent(name)}`

/** GET /v1/keyrings */
export const getKeyrings = async () => (await all<WireKeyring>('v1/keyrings')).map(fromWire.keyring)
/** GET /v1/keyrings/:name */
export const getKeyring = async (name: string) => fromWire.keyring(await request<WireKeyring>(at(name)))
/** POST /v1/keyrings/:name/versions/:id/retire: proves that nothing is under a key any more. Long work. */
export const retire = ({ name, id, acceptSetAside, once }: { name: string; id: string; acceptSetAside: number | null; once: string }) =>
  request<Operation>(`${at(name)}/versions/${encodeURIComponent(id)}/retire`, {
    method: 'POST',
    body: acceptSetAside === null ? {} : { acceptSetAside },
    once,
  })
/** POST /v1/keyrings/:name/versions/:id/destroy: erases the material of a retired key, for good. */
export const destroy = ({ name, id, password, now }: { name: string; id: string; password: string; now: boolean }) =>
  request<WireKeyring>(`${at(name)}/versions/${encodeURIComponent(id)}/destroy`, {
    method: 'POST',
    body: { confirm: name, ...(password === '' ? {} : { password }), ...(now ? { now } : {}) },
  })
/** GET /v1/operations/:id */
export const getOperation = (id: string) => request<Operation>(`v1/operations/${encodeURIComponent(id)}`)
/** GET /v1/fields */
export const getFields = () => all<Field>('v1/fields')
/** GET /v1/census: the latest counts, of one keyring or of all. */
export const getCensus = async (keyring?: string) =>
  (await request<{ censuses: readonly WireCensus[] }>('v1/census', { query: { keyring } })).censuses.map(fromWire.census)
/** POST /v1/census: counts again, in the background. */
export const takeCensus = (keyring: string) => request<unknown>('v1/census', { method: 'POST', body: { keyring } })
