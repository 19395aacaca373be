import { type Call, print } from '../call.ts'
import { exitOfVerification } from '../exit.ts'
import { looking } from '../run.ts'
import { verificationScreen } from '../screens/verification.ts'
import { withSession } from '../session.ts'

/** Opens every value and counts, and looks at the fences of retired keys. Changes nothing. */
export default function verify(call: Call): Promise<number> {
  return withSession(call, 'values', async (session) => {
    const found = await looking(call, session, (options) => session.keyturn.verify(options))
    print(call, found, verificationScreen(found))
    return exitOfVerification(found)
  })
}
