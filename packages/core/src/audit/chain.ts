import { createHash, timingSafeEqual } from 'node:crypto'
import { fail } from '../errors.ts'
import { canonicalJson } from './canonical.ts'
import type { AuditEvent } from './event.ts'

/** Where a chain ends: what the next event builds on. Kept elsewhere, it proves what came before. */
export interface Head {
  readonly seq: number
  readonly hash: Uint8Array
}

/** An event as it stands in the log. */
export interface LoggedEvent extends AuditEvent {
  /** 1, 2, 3 … without gaps. */
  readonly seq: number
  /** UTC with milliseconds: `2026-11-21T10:00:00.000Z`. */
  readonly at: string
  /** Hash of the event before; 32 zero bytes before the first. */
  readonly previous: Uint8Array
  readonly hash: Uint8Array
}

/** What a look at a chain found. */
export type ChainReport =
  | { readonly intact: true; readonly head: Head }
  | { readonly intact: false; readonly seq: number; readonly reason: 'sequence' | 'previous' | 'hash' }

/** The head of a chain without events. */
export const emptyHead: Head = { seq: 0, hash: new Uint8Array(32) }

/** A head as people keep it: `seq:hash`, the hash in hexadecimal. */
export const headText = ({ seq, hash }: Head): string => `${seq}:${Buffer.from(hash).toString('hex')}`

/** Reads what `headText` wrote. @throws `ERR_USAGE` for anything else */
export function parseHead(text: string): Head {
  const [, seq, hash = ''] = /^(0|[1-9]\d{0,15}):([0-9a-f]{64})$/.exec(text.trim()) ?? []
  if (seq === undefined || !Number.isSafeInteger(Number(seq)))
    throw fail('ERR_USAGE', 'a head of the audit log is written as its sequence number, a colon and 64 hexadecimal digits')
  return { seq: Number(seq), hash: new Uint8Array(Buffer.from(hash, 'hex')) }
}

/** Whether two heads are the same event. */
export const sameHead = (a: Head, b: Head): boolean => a.seq === b.seq && same(a.hash, b.hash)

// Never change: it is part of every hash ever written (spec/audit.md).
const prefix = Buffer.from('keyturn/audit/1\0', 'latin1')
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** The canonical bytes of an event as text, by spec/audit.md. @throws `ERR_USAGE` for what it cannot hold */
export function canonicalEvent({ seq, at, actor, action, subject, data }: Omit<LoggedEvent, 'previous' | 'hash'>): string {
  if (!timePattern.test(at)) throw fail('ERR_USAGE', 'the time of an audit event is written as YYYY-MM-DDTHH:MM:SS.sssZ')
  if (data === null || typeof data !== 'object' || Array.isArray(data)) throw fail('ERR_USAGE', 'the data of an audit event is an object')
  return canonicalJson({ seq, at, actor: String(actor), action: String(action), subject: String(subject), data })
}

const hashOf = (previous: Uint8Array, canonical: string): Uint8Array =>
  new Uint8Array(createHash('sha256').update(prefix).update(previous).update(canonical, 'utf8').digest())

/** The event that follows `head`. @throws `ERR_USAGE` for what an event cannot hold */
export function nextEvent(head: Head, event: AuditEvent, at: Date): LoggedEvent {
  const { actor, action, subject, data } = event
  const facts = { seq: head.seq + 1, at: at.toISOString(), actor, action, subject, data }
  return { ...facts, previous: head.hash, hash: hashOf(head.hash, canonicalEvent(facts)) }
}

/**
 * Whether `events` follow `head` without a gap and are what was written.
 *
 * @param head - the head before the first of them; an empty chain's unless given
 * @returns the head after them, or the first event that is wrong and how
 */
export function verifyChain(events: Iterable<LoggedEvent>, head: Head = emptyHead): ChainReport {
  let last = head
  for (const event of events) {
    const { seq, previous, hash } = event
    if (seq !== last.seq + 1) return { intact: false, seq: last.seq + 1, reason: 'sequence' }
    if (!same(previous, last.hash)) return { intact: false, seq, reason: 'previous' }
    if (!same(hash, hashOrNothing(event))) return { intact: false, seq, reason: 'hash' }
    last = { seq, hash }
  }
  return { intact: true, head: last }
}

function hashOrNothing(event: LoggedEvent): Uint8Array {
  try {
    return hashOf(event.previous, canonicalEvent(event))
  } catch {
    // Somebody wrote what an event cannot hold: it has no hash.
    return new Uint8Array(0)
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b)
