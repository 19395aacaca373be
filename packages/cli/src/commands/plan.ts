import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { keyringOf } from '../flags/field-config.ts'
import { keepPlan } from '../plan-file.ts'
import { oneLine } from '../printable.ts'
import { planOptions } from '../run.ts'
import { planScreen } from '../screens/plan.ts'
import { withSession } from '../session.ts'
import { signs } from '../signing/keyring.ts'
import { planSigning } from '../signing/rotate.ts'

/** Shows what a rotation would do. Changes nothing; with --out writes a file that a rotation can be held to. */
export default function plan(call: Call): Promise<number> {
  return withSession(call, 'values', async (session) => {
    const keyring = keyringOf(session.selection)
    if (signs(session, keyring)) return await planSigning(call, session, keyring)
    const found = await session.keyturn.plan(keyring, planOptions(call, session))
    const path = await keepPlan(call, found)
    const kept = path === null ? [] : [oneLine(`Wrote ${path}; "keyturn rotate --plan" is held to it.`)]
    print(call, found, [planScreen(found), '', 'Nothing was changed.', ...kept].join('\n'))
    return exit.done
  })
}
