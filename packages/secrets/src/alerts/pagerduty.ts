import { createHash } from 'node:crypto'
import { z } from 'zod'
import { findings } from '../outside/findings.ts'
import { ask } from '../outside/http.ts'
import type { Alert, Notice } from '../secret/alert.ts'
import type { Call, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'

export const options = z.strictObject({
  /** The integration key of a service, for Events API v2: 32 characters. */
  routingKey: secretRef,
  /** The events API; that of PagerDuty unless given (`https://events.eu.pagerduty.com` in Europe). */
  endpoint: httpUrl.optional(),
})

const where = 'the events API of PagerDuty'
const MOST_KEY = 255
const MOST_SUMMARY = 1_024

/**
 * A service of PagerDuty, by its Events API v2: what goes wrong opens an alert, which closes when it is over. The same trouble of the same
 * secret is one alert, however often it is told.
 *
 * Needs the integration key of a service. After PagerDuty's developer documentation, "Events API v2".
 */
export default function pagerDuty(given: z.infer<typeof options>, world: World): Alert {
  const enqueue = async ({ signal }: Call, event: object) => {
    const body = { routing_key: await world.read(given.routingKey), ...event }
    const url = `${(given.endpoint ?? 'https://events.pagerduty.com').replace(/\/$/, '')}/v2/enqueue`
    await ask({ where, url, method: 'POST', body, signal })
  }
  return {
    // The end of what is not there is accepted, and shows that the key is known.
    check: (call) => findings(() => enqueue(call, { event_action: 'resolve', dedup_key: 'keyturn/check' }).then(() => [])),
    send: (call, notice) => enqueue(call, eventOf(notice)),
  }
}

function eventOf({ key, state, severity, condition, secret, runId, summary, runbook, at }: Notice): object {
  const dedup = key.length <= MOST_KEY ? key : createHash('sha256').update(key).digest('hex')
  if (state === 'resolved') return { event_action: 'resolve', dedup_key: dedup }
  return {
    event_action: 'trigger',
    dedup_key: dedup,
    client: 'Keyturn',
    payload: {
      summary: summary.slice(0, MOST_SUMMARY),
      source: 'keyturn',
      severity,
      timestamp: at,
      component: secret,
      class: condition,
      custom_details: { run: runId },
    },
    ...(runbook !== null && { links: [{ href: runbook, text: 'runbook' }] }),
  }
}
