import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { driftScreen } from '../../screens/secret.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** Compares stores with the credentials in use; with --apply writes what differs and has the targets take it. Rotates nothing. */
export default function sync(call: Call): Promise<number> {
  const { apply = false } = call.options
  return withSecrets(call, apply ? 'acting' : 'looking', async ({ secrets }) => {
    const only = call.args.length === 0 ? secrets.names : call.args
    if (apply) {
      // An unknown name is a refusal, and nothing was attempted.
      for (const name of only) await secrets.status(name)
      call.attempted = true
      await secrets.sync({ only, apply: true })
    }
    const found = await secrets.sync({ only })
    const left = only.filter((name) => !found.some(({ secret }) => secret === name))
    print(call, { applied: apply, drift: found, left }, driftScreen(found, { applied: apply, left }))
    return found.some(({ state }) => state !== 'same') ? exit.remain : exit.done
  })
}
