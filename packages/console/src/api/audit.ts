import { address } from '../base.ts'
import type { Page } from '../domain.ts'
import type { AuditEvent, AuditReport } from '../record.ts'
import { fromWire } from './from-wire.ts'
import { request } from './request.ts'
import type { Wire } from './wire.ts'

/** Which events are asked for. Times are ISO strings. */
export interface AuditFilter {
  readonly actor?: string | undefined
  readonly action?: string | undefined
  readonly subject?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** GET /v1/audit: the newest first. */
export const getAudit = async (filter: AuditFilter, after?: string) => {
  const { items, next } = await request<Page<Wire<AuditEvent>>>('v1/audit', { query: { ...filter, after } })
  return { items: items.map(fromWire.auditEvent), next }
}
/** GET /v1/audit/verify: checks every event, and that a head obtained elsewhere is in the chain. */
export const checkAudit = (expect: string) => request<AuditReport>('v1/audit/verify', { query: { expect: expect.trim() } })
/** GET /v1/audit/export: a line of JSON for each event. */
export const exportAddress = (): string => address('v1/audit/export')
