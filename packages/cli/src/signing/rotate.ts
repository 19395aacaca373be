import { type Call, print, say } from '../call.ts'
import { type Exit, exit } from '../exit.ts'
import { agreed, interruptible } from '../run.ts'
import { signingPlanScreen, signingRotationScreen } from '../screens/signing.ts'
import type { Session } from '../session.ts'
import { assertForTokens, standing } from './keyring.ts'

/** Shows what rotating a signing keyring would do. Changes nothing. */
export async function planSigning(call: Call, session: Session, keyring: string): Promise<Exit> {
  assertForTokens(call, keyring)
  const found = await standing(session, keyring)
  print(call, { keyring, signing: found?.signing ?? null }, `${signingPlanScreen(keyring, found)}\n\nNothing was changed.`)
  return exit.done
}

/** Makes a new key the one that signs tokens; asks first, unless told --yes. Interrupted, it leaves the key published and goes on later. */
export async function rotateSigning(call: Call, session: Session, keyring: string): Promise<number> {
  assertForTokens(call, keyring)
  const found = await standing(session, keyring)
  // Keys of the environment change with it: this says how.
  if (found?.keyring.kind === 'environment') await session.keyturn.signing(keyring).rotate()
  const now = call.options.now === true
  if (!call.options.yes) {
    say(call, signingPlanScreen(keyring, found, now))
    if (!(await agreed(session, 'Rotate?'))) {
      print(call, null, 'Nothing was changed.')
      return exit.refused
    }
  }
  return session.write(async (writing) => {
    const onWait = (until: Date) => {
      call.attempted = true
      say(
        call,
        `The new key is published; it signs from ${until.toISOString()} on. Ctrl-C leaves it published, and the same command goes on`,
      )
    }
    const { result } = await interruptible(call, ({ signal }) =>
      writing.keyturn.signing(keyring).rotate({ now, onWait, ...(signal === undefined ? {} : { signal }) }),
    )
    print(call, result, signingRotationScreen(result))
    return result.state === 'waiting' ? exit.paused : exit.done
  })
}
