import { certificateText, fail, nearest } from '@keyturn/core'
import { type Call, print, printExact } from '../../call.ts'
import { exit } from '../../exit.ts'
import { certificateScreen } from '../../screens/certificate.ts'
import { withSession } from '../../session.ts'

/** Digits of an id that messages show: enough to tell certificates apart, and no more than anybody types. */
const SHOWN = 16
const beginning = ({ id }: { readonly id: string }): string => id.slice(0, SHOWN)

/** Prints a certificate: in words, or with --json as the one line that can be checked. */
export default function show(call: Call): Promise<number> {
  return withSession(call, 'record', async ({ keyturn }) => {
    const all = await keyturn.certificates()
    const [named] = call.args
    // An id is as long as a hash: its beginning is enough where it is the only one.
    const found = named === undefined ? all.slice(0, 1) : all.filter(({ id, subject }) => id.startsWith(named) || subject === named)
    const [only] = found
    if (only === undefined) {
      if (named === undefined)
        throw fail(
          'ERR_USAGE',
          'there is no certificate. A rotation makes one where the signing key of the configuration is set; later, "keyturn resume ROTATION" does',
        )
      throw fail('ERR_UNKNOWN_NAME', 'certificate', named.slice(0, SHOWN), nearest(named, all.map(beginning)))
    }
    if (found.length > 1) throw fail('ERR_USAGE', `several certificates begin with "${named}": ${found.map(beginning).join(', ')}`)
    const { id, certificate } = only
    if (call.options.json) printExact(call, certificateText(certificate))
    else print(call, certificate, certificateScreen(certificate, id))
    return exit.done
  })
}
