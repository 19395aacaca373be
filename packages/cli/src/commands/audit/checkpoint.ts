import { checkpointLine } from '@keyturn/core'
import { type Call, print, printExact } from '../../call.ts'
import { exit } from '../../exit.ts'
import { withSession } from '../../session.ts'

/** Signs the head of the audit log. Kept elsewhere, it proves later that nothing up to it was changed. */
export default function checkpoint(call: Call): Promise<number> {
  return withSession(call, 'signing', async ({ keyturn }) => {
    const made = await keyturn.audit.checkpoint()
    const signed = made.signer === null ? 'not signed: no signing key is set' : `signed by ${made.signer}`
    const words = [`Head ${made.head}`, `at ${made.at}, ${signed}.`, 'Keep it elsewhere. Later: keyturn audit verify --expect HEAD']
    if (call.options.json) printExact(call, checkpointLine(made))
    else print(call, made, words.join('\n'))
    return exit.done
  })
}
