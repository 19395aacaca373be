import type { Call } from '../../call.ts'
import { follow, waitMs } from '../../secrets/follow.ts'
import { secretRunOf, withSecrets } from '../../secrets/opened-secrets.ts'

/** Goes on with a run: one that is paused, that waits, or whose process ended. What it asks about is answered by --remove and --keep. */
export default async function resume(call: Call): Promise<number> {
  waitMs(call)
  return await withSecrets(call, 'acting', async (session) => {
    const runId = await secretRunOf(call, session)
    await session.secrets.resume(runId, { remove: ids(call.options.remove), keep: ids(call.options.keep) })
    return await follow(call, session, { runId })
  })
}

const ids = (list = ''): string[] =>
  list
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '')
