import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { inventoryScreen } from '../../screens/secret.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** Shows the inventory, overdue ones first. Changes nothing. */
export default function list(call: Call): Promise<number> {
  return withSecrets(call, 'looking', async ({ secrets }) => {
    const found = await secrets.list()
    const forgotten = (await secrets.forgotten()).map(({ id, secret, state, note }) => ({ id, secret, state, note }))
    print(call, { secrets: found, forgotten }, inventoryScreen(found, forgotten))
    return exit.done
  })
}
