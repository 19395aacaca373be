import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { agreedTo, assertConfirmable } from '../../secrets/confirm.ts'
import { follow, waitMs } from '../../secrets/follow.ts'
import { secretRunOf, withSecrets } from '../../secrets/opened-secrets.ts'

/** Ends the old credential now, also where somebody still uses it; has the name of the secret typed first, unless told --yes. */
export default async function revoke(call: Call): Promise<number> {
  assertConfirmable(call)
  waitMs(call)
  return await withSecrets(call, 'acting', async (session) => {
    const runId = await secretRunOf(call, session)
    if (!(await agreedTo(call, session, { runId, becomes: 'ends its old credential at once, also where somebody still uses it' }))) {
      print(call, null, 'Nothing was changed.')
      return exit.refused
    }
    await session.secrets.revoke(runId)
    return await follow(call, session, { runId })
  })
}
