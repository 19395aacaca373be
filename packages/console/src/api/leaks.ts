import type { Leak, LeakAsked } from '../leak.ts'
import { fromWire } from './from-wire.ts'
import { request } from './request.ts'
import type { Wire } from './wire.ts'

/** GET /v1/leaks: changes nothing. */
export const getLeak = async (asked: LeakAsked) => fromWire.leak(await request<Wire<Leak>>('v1/leaks', { query: { ...asked } }))
