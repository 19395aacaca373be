import { z } from 'zod'
import { findings } from '../outside/findings.ts'
import { ask } from '../outside/http.ts'
import { hookOf, hookOptions, signedHeaders } from '../outside/signature.ts'
import type { Alert } from '../secret/alert.ts'
import type { World } from '../secret/call.ts'

export const options = z.strictObject(hookOptions)

const where = 'the webhook of alerts'

/**
 * A webhook of yours that is told what goes wrong and when it is over: `POST` with `{ type: "secret.notice", key, state, severity, condition, secret, runId,
 * summary, runbook, at }`, signed. `key` is the same for the same trouble of a secret; a repetition has the same `Idempotency-Key`.
 */
export default function webhook(given: z.infer<typeof options>, world: World): Alert {
  return {
    check: () => findings(() => hookOf(given, world, where).then(() => [])),
    async send(call, notice) {
      const { url, key } = await hookOf(given, world, where)
      const body = JSON.stringify({ type: 'secret.notice', ...notice })
      const headers = signedHeaders(body, { key, id: `${notice.key}@${notice.at}/${notice.state}`, now: world.now() })
      await ask({ where, url, method: 'POST', headers, body, signal: call.signal })
    },
  }
}
