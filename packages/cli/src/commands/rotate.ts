import { type Call, print, say } from '../call.ts'
import { exit } from '../exit.ts'
import { keyringOf } from '../flags/field-config.ts'
import { plannedBefore } from '../plan-file.ts'
import { agreed, assertAgreeable, decisionOptions, planOptions, throttle, watch } from '../run.ts'
import { planScreen } from '../screens/plan.ts'
import { type Session, withSession } from '../session.ts'
import { assertForValues, signs } from '../signing/keyring.ts'
import { rotateSigning } from '../signing/rotate.ts'

/** Makes a new key version active and rewrites every value under it; asks first, unless told --yes. */
export default function rotate(call: Call): Promise<number> {
  assertAgreeable(call, 'rotate')
  throttle(call.options)
  return withSession(call, 'values', async (session) => {
    const planned = await plannedBefore(call)
    const keyring = planned !== null && session.selection.keyring === null ? planned.keyring : keyringOf(session.selection)
    if (signs(session, keyring)) return await rotateSigning(call, session, keyring)
    assertForValues(call, keyring)
    const options = planOptions(call, session, planned)
    // What is refused must leave nothing behind: the plan is made before anything is opened for writing.
    const plan = await session.keyturn.plan(keyring, options)
    if (!call.options.yes) {
      say(call, planScreen(plan))
      if (!(await agreed(session, 'Rotate?'))) {
        print(call, null, 'Nothing was changed.')
        return exit.refused
      }
    }
    return session
      .write((writing) => watch(call, writing, (run) => writing.keyturn.rotate(keyring, { ...options, ...decisionOptions(call), ...run })))
      .then((code) => noted(call, session, code))
  })
}

/** Values that came to a keyring are read there, by an application that knows so. */
function noted(call: Call, { selection }: Session, code: number): number {
  if (call.options.to === undefined) return code
  const names = selection.fields?.map((name) => `"${name}"`).join(', ')
  say(
    call,
    `note: declare ${names} in the configuration, as part of keyring "${call.options.to}", so that the application can read the values`,
  )
  return code
}
