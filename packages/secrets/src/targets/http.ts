import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { type Answer, ask } from '../outside/http.ts'
import { hookOf, hookOptions, signedHeaders } from '../outside/signature.ts'
import type { Call, World } from '../secret/call.ts'
import type { Target } from '../secret/target.ts'

export const options = z.strictObject({
  ...hookOptions,
  /** How long to wait between two looks at a deployment that goes on, in milliseconds; 5,000 unless given. */
  pauseMs: z.int().min(1).max(60_000).optional(),
  /** The longest that the deployment may take, in seconds; 600 unless given. */
  seconds: z.int().min(1).max(3_600).optional(),
})

const where = 'the hook of the deployment'

/**
 * A hook of yours that has the consumers take the new values. It gets `POST` with `{ type: "secret.deploy", secret, attempt, versions, at }`, signed, and no
 * value: it reads them where the consumers do.
 *
 * Answers: 200 or 204 when all consumers have taken them; 202 with `Location` (at the same host) while it goes on, which is then asked with
 * signed `GET`s until it answers 200; 429 or 503 to be tried again; anything else takes the run back. Repetitions have the same `Idempotency-Key`.
 */
export default function http(given: z.infer<typeof options>, world: World): Target {
  /** Asks until it is over. A GET signs the empty text. */
  const finish = async (call: Call, { url, key }: { readonly url: URL; readonly key: string }): Promise<number> => {
    for (let looks = 1; ; looks++) {
      const isOver = await sleep(given.pauseMs ?? 5_000, false, { signal: call.signal }).catch(() => true)
      if (isOver) throw outside('uncertain', where, 'the deployment had not ended in time')
      const headers = signedHeaders('', { key, id: call.attempt, now: world.now() })
      if ((await ask({ where, url, headers, signal: call.signal })).status !== 202) return looks
    }
  }
  return {
    callMs: (given.seconds ?? 600) * 1_000,
    check: () =>
      findings(async () => {
        const { url } = await hookOf(given, world, where)
        return isPlain(url)
          ? [{ severity: 'warning', sentence: `${where}: its address has no TLS, so that others may read and repeat what is sent` }]
          : []
      }),
    async deploy(call, versions) {
      const { url, key } = await hookOf(given, world, where)
      const at = new Date(world.now()).toISOString()
      const body = JSON.stringify({ type: 'secret.deploy', secret: call.secret, attempt: call.attempt, versions, at })
      const headers = signedHeaders(body, { key, id: call.attempt, now: world.now() })
      const answer = await ask({ where, url, method: 'POST', headers, body, signal: call.signal })
      const looks = answer.status === 202 ? await finish(call, { url: locationOf(answer, url), key }) : 0
      return { status: 'deployed', looks }
    },
  }
}

/** Where a deployment that goes on can be asked for. Another host would get our signatures. */
function locationOf({ headers }: Answer, hook: string): URL {
  const location = headers.get('location')
  if (location === null || !URL.canParse(location, hook)) throw outside('uncertain', where, 'it answered 202 without a Location to ask')
  const url = new URL(location, hook)
  if (url.origin !== new URL(hook).origin) throw outside('uncertain', where, 'it answered 202 with a Location at another host')
  return url
}

function isPlain(url: string): boolean {
  const { protocol, hostname } = new URL(url)
  return protocol === 'http:' && !['localhost', '127.0.0.1', '[::1]'].includes(hostname)
}
