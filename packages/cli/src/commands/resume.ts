import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { assertResumable, rotationOf } from '../rotation-of.ts'
import { agreed, assertAgreeable, decisionOptions, throttle, watch } from '../run.ts'
import { withSession } from '../session.ts'

/** Goes on with an unfinished rotation. What was rewritten stays so; nothing is done twice. */
export default function resume(call: Call): Promise<number> {
  assertAgreeable(call, 'resume')
  throttle(call.options)
  return withSession(call, 'values', async (session) => {
    const id = await rotationOf(call, session, 'unfinished')
    await assertResumable(id, session)
    if (!call.options.yes && !(await agreed(session, `Go on with rotation ${oneLine(id)}?`))) {
      print(call, null, 'Nothing was changed.')
      return exit.refused
    }
    return session.write((writing) => watch(call, writing, (run) => writing.keyturn.resume(id, { ...decisionOptions(call), ...run })))
  })
}
