import { type Call, print, say } from '../call.ts'
import { exit } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { agreed } from '../run.ts'
import { endsWords, signingRetirementScreen } from '../screens/signing.ts'
import type { Session } from '../session.ts'
import { assertForTokens, standing } from './keyring.ts'

/** Ends signing keys whose tokens have expired, or, with --now or --compromised, before; asks first, unless told --yes. */
export async function retireSigning(call: Call, session: Session, keyring: string): Promise<number> {
  assertForTokens(call, keyring)
  const { now = false, compromised = false, version: versions } = call.options
  const found = await standing(session, keyring)
  if (found?.keyring.kind === 'environment') await session.keyturn.signing(keyring).retire()
  if (!call.options.yes) {
    const early = now || compromised
    say(call, oneLine(`Keyring "${keyring}": ${endsWords(found?.signing ?? null, versions, early)}`))
    if (!(await agreed(session, compromised ? 'Retire, and mark as compromised?' : 'Retire?'))) {
      print(call, null, 'Nothing was changed.')
      return exit.refused
    }
  }
  return session.write(async ({ keyturn }) => {
    const retired = await keyturn.signing(keyring).retire({ now, compromised, ...(versions === undefined ? {} : { versions }) })
    print(call, { keyring, retired }, signingRetirementScreen(keyring, retired))
    return exit.done
  })
}
