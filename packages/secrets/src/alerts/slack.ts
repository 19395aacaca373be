import { z } from 'zod'
import { findings } from '../outside/findings.ts'
import { ask } from '../outside/http.ts'
import { addressIn } from '../outside/signature.ts'
import type { Alert, Notice } from '../secret/alert.ts'
import type { World } from '../secret/call.ts'
import { secretRef } from '../secret/options.ts'

export const options = z.strictObject({
  /** The address of an incoming webhook. It is a secret: who knows it may post. */
  url: secretRef,
})

const where = 'the webhook of Slack'
const signs = { critical: ':rotating_light:', error: ':red_circle:', warning: ':warning:', info: ':information_source:' } as const

/**
 * A channel of Slack, by an incoming webhook. What goes wrong is one message, and that it is over is another.
 *
 * Needs the address of the webhook, in a variable. Slack knows no message again: the engine keeps what was sent, and only a crash between the
 * two can repeat one. After Slack's pages on incoming webhooks and `@slack/webhook` 8.
 */
export default function slack(given: z.infer<typeof options>, world: World): Alert {
  return {
    check: () => findings(() => addressIn(given.url, world, where).then(() => [])),
    async send({ signal }, notice) {
      const url = await addressIn(given.url, world, where)
      // Refusals are words such as `no_service`.
      await ask({ where, url, method: 'POST', body: messageOf(notice), signal, codeOf: (body) => body })
    },
  }
}

function messageOf({ state, severity, condition, secret, runId, summary, runbook, at }: Notice): object {
  const head = state === 'resolved' ? ':white_check_mark: *Over*' : `${signs[severity]} *${severity}*`
  const text = `${head} · ${escaped(summary)}`
  const facts = [`secret \`${escaped(secret)}\``, condition, ...(runId === null ? [] : [`run \`${escaped(runId)}\``]), at]
  const link = runbook === null ? [] : [`<${escaped(runbook).replaceAll('|', '%7C')}|runbook>`]
  return {
    // What a notification shows. Longer texts Slack would refuse.
    text: text.slice(0, 3_000),
    blocks: [
      { type: 'section', text: { type: 'mrkdwn', text: text.slice(0, 3_000) } },
      { type: 'context', elements: [{ type: 'mrkdwn', text: [...facts, ...link].join(' · ').slice(0, 2_000) }] },
    ],
  }
}

/** The three signs that Slack reads as its own: `<!channel>` would call everybody. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
