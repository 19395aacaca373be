import { env } from '@keyturn/core'
import type { AlertConfig } from '@keyturn/secrets'
import { handbook } from './places.ts'

/**
 * Who is told of what. A refused login has been taken back when they hear of it; a leaked secret is being rotated without a grace.
 *
 * @param pagerDuty - the address of its events API; the real one unless given
 */
export function alerts(pagerDuty?: string): AlertConfig[] {
  const conditions = ['authentication', 'connection', 'automatic', 'leak', 'task', 'revocation', 'failed'] as const
  const runbooks = Object.fromEntries(conditions.map((condition) => [condition, `${handbook}/${condition}`]))
  const pager = { routingKey: env('PAGERDUTY_ROUTING_KEY'), ...(pagerDuty !== undefined && { endpoint: pagerDuty }) }
  return [
    // Somebody is woken up.
    { alert: 'pagerduty', ...pager, on: ['authentication', 'connection', 'leak', 'revocation'], runbooks },
    // Read in the morning.
    { alert: 'slack', url: env('SLACK_WEBHOOK_URL'), runbooks },
  ]
}
