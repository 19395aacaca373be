import type { Run } from '@keyturn/secrets'
import { type Call, print } from '../../call.ts'
import { type Exit, exit, exitOfSecretRun } from '../../exit.ts'
import { runData, runsTable } from '../../screens/secret-run.ts'
import { stoppable } from '../../secrets/follow.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** One pass over all secrets, for cron where no server runs: begins those that are due by themselves and goes on with what waits. */
export default function attend(call: Call): Promise<number> {
  return withSecrets(call, 'acting', async ({ secrets }) => {
    call.attempted = true
    // What cannot begin keeps nothing else from going on.
    let fault: unknown
    const begun = await secrets.beginDue().catch((error: unknown): Run[] => {
      fault = error
      return []
    })
    const worked = await stoppable(call, (signal) => secrets.attend(signal))
    const runs: Run[] = []
    for (const id of worked) runs.push((await secrets.run(id)).run)
    const data = { begun: begun.map(({ id }) => id), runs: runs.map((run) => runData(run)) }
    print(call, data, runs.length === 0 ? 'Nothing was due.' : runsTable(runs))
    if (fault !== undefined) throw fault
    return worst(runs)
  })
}

/** A run that failed weighs more than one that waits for a person. */
function worst(runs: readonly Run[]): Exit {
  const codes = runs.map((run) => exitOfSecretRun(run, { wanted: ['completed'], remains: false }))
  return [exit.failed, exit.paused].find((code) => codes.includes(code)) ?? exit.done
}
