import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { keyringOf } from '../flags/field-config.ts'
import { statusScreen } from '../screens/status.ts'
import { withSession } from '../session.ts'

/** Shows keyrings, their versions, rotations and holds. Opens no value. */
export default function status(call: Call): Promise<number> {
  return withSession(call, 'overview', async ({ keyturn, selection }) => {
    const found = await keyturn.status(selection.keyring === null ? undefined : keyringOf(selection))
    print(call, found, statusScreen(found))
    return exit.done
  })
}
