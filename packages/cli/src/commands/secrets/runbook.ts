import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** Prints a runbook in Markdown, from the configuration and the state. Changes nothing. */
export default function runbook(call: Call): Promise<number> {
  return withSecrets(call, 'looking', async ({ secrets }) => {
    const markdown = await secrets.runbook(call.args.length === 0 ? undefined : call.args)
    print(call, { markdown }, markdown)
    return exit.done
  })
}
