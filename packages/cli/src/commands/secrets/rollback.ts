import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { agreedTo, assertConfirmable } from '../../secrets/confirm.ts'
import { follow, waitMs } from '../../secrets/follow.ts'
import { secretRunOf, withSecrets } from '../../secrets/opened-secrets.ts'

/** Takes a run back to the credential from before; has the name of the secret typed first, unless told --yes. */
export default async function rollback(call: Call): Promise<number> {
  assertConfirmable(call)
  waitMs(call)
  return await withSecrets(call, 'acting', async (session) => {
    const runId = await secretRunOf(call, session)
    if (!(await agreedTo(call, session, { runId, becomes: 'goes back to the credential from before; the new one is ended' }))) {
      print(call, null, 'Nothing was changed.')
      return exit.refused
    }
    await session.secrets.rollback(runId)
    return await follow(call, session, { runId, wanted: ['rolled-back'] })
  })
}
