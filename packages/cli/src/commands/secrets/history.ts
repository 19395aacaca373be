import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { oneLine } from '../../printable.ts'
import { runData, runsTable, stepsTable } from '../../screens/secret-run.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** Shows the runs of a secret and the steps of the newest one, or of the run that is named. Changes nothing. */
export default function history(call: Call): Promise<number> {
  return withSecrets(call, 'looking', async ({ secrets }) => {
    const [named = ''] = call.args
    const one = named.startsWith('run_') ? (await secrets.run(named)).run : null
    const runs = one === null ? await secrets.history(named) : [one]
    const steps = runs[0] === undefined ? [] : (await secrets.run(runs[0].id)).steps
    const words =
      runs.length === 0
        ? [oneLine(`Secret "${named}" was never rotated here.`)]
        : [runsTable(runs), '', oneLine(`Steps of ${runs[0]?.id ?? ''}`), stepsTable(steps)]
    print(
      call,
      { secret: runs[0]?.secret ?? named, runs: runs.map((run, index) => runData(run, index === 0 ? steps : undefined)) },
      words.join('\n'),
    )
    return exit.done
  })
}
