import { eventLine } from '@keyturn/core'
import { type Call, printExact } from '../../call.ts'
import { exit } from '../../exit.ts'
import { withSession } from '../../session.ts'

/** Prints the audit log, a line of JSON for each event, in their order. Changes nothing. */
export default function events(call: Call): Promise<number> {
  return withSession(call, 'record', async ({ keyturn }) => {
    for await (const event of keyturn.audit.events()) printExact(call, eventLine(event))
    return exit.done
  })
}
