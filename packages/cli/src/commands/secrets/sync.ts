import { isKeyturnError } from '@keyturn/core'
import type { Drift, Secrets } from '@keyturn/secrets'
import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { oneLine } from '../../printable.ts'
import { driftScreen } from '../../screens/secret.ts'
import { stoppable } from '../../secrets/follow.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/**
 * Compares stores with the credentials in use, or with their source of truth; with --apply takes over what is new there, writes what differs and has
 * the targets take it. Rotates nothing.
 */
export default function sync(call: Call): Promise<number> {
  const { apply = false, group } = call.options
  return withSecrets(call, apply ? 'acting' : 'looking', async ({ secrets }) => {
    const chosen = [...call.args, ...(group === undefined ? [] : secrets.group(group))]
    const only = chosen.length === 0 ? secrets.names : [...new Set(chosen)]
    let wrote: readonly Drift[] = []
    if (apply) {
      // An unknown name is a refusal, and nothing was attempted.
      for (const name of only) await secrets.status(name)
      call.attempted = true
      wrote = await stoppable(call, (signal) => secrets.sync({ only, apply: true, signal })).catch((error: unknown) => {
        // Said before the first of them is begun.
        // What fails in a run is on record with it, and thrown by nobody.
        call.attempted = !isKeyturnError(error, 'ERR_SECRET_PLAN', 'ERR_OUTSIDE_REFUSED', 'ERR_OUTSIDE_UNCERTAIN', 'ERR_OUTSIDE_BUSY')
        throw error
      })
    }
    const found = await secrets.sync({ only })
    const left = only.filter((name) => !found.some(({ secret }) => secret === name))
    const failed = await notTaken(secrets, found, wrote)
    const screen = [
      driftScreen(found, { applied: apply, left }),
      ...failed.map(({ secret, run, note }) => oneLine(`Not taken over: ${secret} (run ${run}): ${note}`)),
    ]
    print(call, { applied: apply, drift: found, left, ...(apply && { failed }) }, screen.join('\n'))
    // What was to be written and is not over cannot be compared yet.
    if (wrote.some(({ secret }) => left.includes(secret))) return exit.paused
    if (failed.length > 0) return exit.failed
    return found.some(({ state }) => state !== 'same') ? exit.remain : exit.done
  })
}

/** What was to be taken over and was taken back, with the reason. */
async function notTaken(secrets: Secrets, found: readonly Drift[], wrote: readonly Drift[]) {
  const isNew = (drifts: readonly Drift[], name: string) => drifts.some(({ secret, state }) => secret === name && state === 'new')
  const failed: { readonly secret: string; readonly run: string; readonly note: string }[] = []
  for (const secret of new Set(wrote.map((drift) => drift.secret))) {
    const [run] = isNew(wrote, secret) && isNew(found, secret) ? await secrets.history(secret, 1) : []
    if (run?.state === 'rolled-back') failed.push({ secret, run: run.id, note: run.note ?? 'it was taken back' })
  }
  return failed
}
