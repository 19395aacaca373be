import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { rotationOf } from '../rotation-of.ts'
import { withSession } from '../session.ts'

/** Asks the process that runs a rotation to pause. Its batch is finished first; every value stays readable. */
export default function pause(call: Call): Promise<number> {
  return withSession(call, 'ending', async (session) => {
    const id = await rotationOf(call, session, 'unfinished')
    const state = await session.keyturn.pause(id)
    const sentence = state === 'paused' ? 'is paused' : `is ${state}, and was asked to pause at its next batch`
    print(call, { id, state }, oneLine(`Rotation ${id} ${sentence}. "keyturn resume" goes on.`))
    return exit.done
  })
}
