import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { rotationOf } from '../rotation-of.ts'
import { withSession } from '../session.ts'

/** Ends an unfinished rotation. Values that were rewritten stay so; all of them stay readable. */
export default function cancel(call: Call): Promise<number> {
  return withSession(call, 'ending', async (session) => {
    const id = await rotationOf(call, session, 'unfinished')
    const state = await session.keyturn.cancel(id)
    const sentence =
      state === 'cancelled' ? 'is cancelled; every value stays readable' : `is ${state}, and was asked to cancel at its next batch`
    print(call, { id, state }, oneLine(`Rotation ${id} ${sentence}.`))
    return exit.done
  })
}
