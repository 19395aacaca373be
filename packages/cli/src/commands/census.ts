import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { looking } from '../run.ts'
import { censusScreen } from '../screens/census.ts'
import { withSession } from '../session.ts'

/** Counts the values by format and key. Changes nothing. */
export default function census(call: Call): Promise<number> {
  return withSession(call, 'values', async (session) => {
    const found = await looking(call, session, (options) => session.keyturn.census(options))
    print(call, found, censusScreen(found))
    return exit.done
  })
}
