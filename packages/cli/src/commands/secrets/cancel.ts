import type { Call } from '../../call.ts'
import { follow, waitMs } from '../../secrets/follow.ts'
import { secretRunOf, withSecrets } from '../../secrets/opened-secrets.ts'

/** Ends a run that has made nothing yet, and takes back one that has. */
export default async function cancel(call: Call): Promise<number> {
  waitMs(call)
  return await withSecrets(call, 'acting', async (session) => {
    const runId = await secretRunOf(call, session)
    await session.secrets.cancel(runId)
    return await follow(call, session, { runId, wanted: ['cancelled', 'rolled-back'] })
  })
}
