import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, type Double, jsonOf, startDouble } from './faults.ts'

/** An alert: opened by the first event with its key, closed by a `resolve`. */
export interface PagerDutyAlert {
  readonly dedupKey: string
  /** How many events came to it. */
  triggers: number
  state: 'triggered' | 'acknowledged' | 'resolved'
  readonly summary: string
  readonly severity: string
  readonly event: object
}

/** The Events API v2 of PagerDuty on this machine. */
export interface PagerDutyDouble extends Double {
  readonly endpoint: string
  /** The key of a service: 32 characters, in the body of each event. */
  readonly routingKey: string
  /** Every alert there ever was, the oldest first. */
  readonly alerts: readonly PagerDutyAlert[]
}

type Event = {
  readonly routing_key: string
  readonly event_action: string
  readonly dedup_key: string
  readonly payload: { readonly summary?: string; readonly source?: string; readonly severity?: string }
}

const MOST_BYTES = 512 * 1024
const severities = ['critical', 'error', 'warning', 'info']

/**
 * Starts a double; the caller stops it. Events with the key of an open alert join it; after `resolve` the same key opens a new one. What it
 * accepts is answered 202, also a `resolve` of nothing. From PagerDuty's developer-docs, "Events API v2".
 */
export async function startPagerDuty(): Promise<PagerDutyDouble> {
  const routingKey = randomBytes(16).toString('hex')
  const alerts: PagerDutyAlert[] = []
  const enqueue = (asked: Asked): Answer => {
    const event = jsonOf<Event>(asked)
    const wrong = faultsOf(asked, event)
    if (wrong.length === 0 && event.routing_key !== routingKey) wrong.push('Invalid routing key')
    if (wrong.length > 0) return { status: 400, body: { status: 'invalid event', message: 'Event object is invalid', errors: wrong } }
    const dedupKey = event.dedup_key ?? randomBytes(16).toString('hex')
    const open = alerts.find((alert) => alert.dedupKey === dedupKey && alert.state !== 'resolved')
    if (event.event_action === 'trigger') {
      if (open !== undefined) open.triggers++
      else {
        const { summary = '', severity = '' } = event.payload ?? {}
        alerts.push({ dedupKey, triggers: 1, state: 'triggered', summary, severity, event: { ...event, routing_key: undefined } })
      }
    } else if (open !== undefined) open.state = event.event_action === 'resolve' ? 'resolved' : 'acknowledged'
    return { status: 202, body: { status: 'success', message: 'Event processed', dedup_key: dedupKey }, made: [dedupKey] }
  }
  const server = await startDouble([{ name: 'enqueue', method: 'POST', path: /^\/v2\/enqueue$/, answer: enqueue }], {
    errorBody: (status) => ({ status: 'error', message: `HTTP ${status}` }),
  })
  return Object.assign(server, { endpoint: server.origin, routingKey, alerts })
}

function faultsOf({ body }: Asked, event: Partial<Event>): string[] {
  const { routing_key: key, event_action: action = '', dedup_key: dedup, payload = {} } = event
  const isTrigger = action === 'trigger'
  const { summary = '', source = '', severity = '' } = payload
  const rules: readonly [broken: boolean, error: string][] = [
    [body.length > MOST_BYTES, 'Event is too large'],
    [key?.length !== 32, "Length of 'routing_key' is incorrect (should be 32 characters)"],
    [!['trigger', 'acknowledge', 'resolve'].includes(action), "'event_action' is invalid"],
    [!isTrigger && !dedup, "'dedup_key' is missing or blank"],
    [(dedup?.length ?? 0) > 255, "'dedup_key' is too long (maximum is 255 characters)"],
    [isTrigger && summary === '', "'payload.summary' is missing or blank"],
    [isTrigger && summary.length > 1024, "'payload.summary' is too long (maximum is 1024 characters)"],
    [isTrigger && source === '', "'payload.source' is missing or blank"],
    [
      isTrigger && !severities.includes(severity),
      "'payload.severity' is invalid (must be one of the following: critical, warning, error or info)",
    ],
  ]
  return rules.filter(([broken]) => broken).map(([, error]) => error)
}
