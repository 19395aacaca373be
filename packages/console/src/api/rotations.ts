import { address } from '../base.ts'
import type { Mode, Page, Rotation } from '../domain.ts'
import { fromWire } from './from-wire.ts'
import { request } from './request.ts'
import type { Wire, WireCertificate, WirePlan, WireSetAside } from './wire.ts'

const at = (id: string) => `v1/rotations/${encodeURIComponent(id)}`
type WireRotation = Wire<Rotation>

/** What is to be rotated, and how. */
export interface Wanted {
  readonly keyring: string
  readonly mode?: Mode
  readonly newVersion?: boolean
}

/** POST /v1/plans: what a rotation would do. Changes nothing. */
export const makePlan = async (body: Wanted) => fromWire.plan(await request<WirePlan>('v1/plans', { method: 'POST', body }))
/** POST /v1/rotations: starts one, held to the plan that was looked at. */
export const rotate = async ({ once, ...body }: Wanted & { accept: boolean; plan: object; once: string }) =>
  fromWire.rotation(await request<WireRotation>('v1/rotations', { method: 'POST', body, once }))
/** GET /v1/rotations: the newest first. */
export const getRotations = async (query: { keyring?: string | undefined; after?: string | undefined; limit?: number } = {}) => {
  const { items, next } = await request<Page<WireRotation>>('v1/rotations', { query })
  return { items: items.map(fromWire.rotation), next }
}
/** GET /v1/rotations/:id */
export const getRotation = async (id: string) => fromWire.rotation(await request<WireRotation>(at(id)))
/** POST /v1/rotations/:id/pause, /resume, /cancel */
export const turn = async ({ id, verb }: { id: string; verb: 'pause' | 'resume' | 'cancel' }) =>
  fromWire.rotation(await request<WireRotation>(`${at(id)}/${verb}`, { method: 'POST', body: {} }))
/** POST /v1/rotations/:id/release: ends the hold of a transaction. */
export const release = (id: string) => request<{ tables: readonly string[] }>(`${at(id)}/release`, { method: 'POST', body: {} })
/** GET /v1/rotations/:id/set-aside */
export const getSetAside = async (id: string, after?: string) => {
  const { items, next, total } = await request<Page<WireSetAside> & { total: number }>(`${at(id)}/set-aside`, { query: { after } })
  return { items: items.map(fromWire.setAside), next, total }
}
/** GET /v1/rotations/:id/certificate */
export const getCertificate = async (id: string) => fromWire.certificate(await request<WireCertificate>(`${at(id)}/certificate`))
/** GET /v1/rotations/:id/events: where the stream of a rotation is. */
export const eventsAddress = (id: string): string => address(`${at(id)}/events`)
/** A message of that stream. @throws SyntaxError for what is no JSON */
export const rotationOf = (message: string): Rotation => fromWire.rotation(JSON.parse(message))
