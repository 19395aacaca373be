import type { Drift } from '@keyturn/secrets'
import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { driftScreen } from '../../screens/secret.ts'
import { stoppable } from '../../secrets/follow.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** Compares stores with the credentials in use; with --apply writes what differs and has the targets take it. Rotates nothing. */
export default function sync(call: Call): Promise<number> {
  const { apply = false } = call.options
  return withSecrets(call, apply ? 'acting' : 'looking', async ({ secrets }) => {
    const only = call.args.length === 0 ? secrets.names : call.args
    let wrote: readonly Drift[] = []
    if (apply) {
      // An unknown name is a refusal, and nothing was attempted.
      for (const name of only) await secrets.status(name)
      call.attempted = true
      wrote = await stoppable(call, (signal) => secrets.sync({ only, apply: true, signal }))
    }
    const found = await secrets.sync({ only })
    const left = only.filter((name) => !found.some(({ secret }) => secret === name))
    print(call, { applied: apply, drift: found, left }, driftScreen(found, { applied: apply, left }))
    // What was to be written and is not over cannot be compared yet.
    if (wrote.some(({ secret }) => left.includes(secret))) return exit.paused
    return found.some(({ state }) => state !== 'same') ? exit.remain : exit.done
  })
}
