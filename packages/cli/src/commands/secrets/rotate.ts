import type { Call } from '../../call.ts'
import { follow, waitMs } from '../../secrets/follow.ts'
import { withSecrets } from '../../secrets/opened-secrets.ts'

/** Rotates a secret: puts the run on record and works on it until it is over, needs somebody, or waits for longer than --wait. */
export default async function rotate(call: Call): Promise<number> {
  waitMs(call)
  return await withSecrets(call, 'acting', async (session) => {
    const [name = ''] = call.args
    const { id } = await session.secrets.rotate(name, { leaked: call.options.leaked === true })
    return await follow(call, session, { runId: id })
  })
}
