import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { agreed, assertAgreeable } from '../run.ts'
import { withSession } from '../session.ts'
import { versionOf } from '../version-of.ts'

/** Takes a retired key version back to retiring, and its fence down: for writers that a restored backup brought back. */
export default function unretire(call: Call): Promise<number> {
  assertAgreeable(call, 'unretire')
  return withSession(call, 'values', async (session) => {
    const { keyring, id } = await versionOf(call, session, { state: 'retired', becomes: 'retiring' })
    if (!call.options.yes && !(await agreed(session, oneLine(`Let key ${id} of keyring "${keyring}" be used again?`)))) {
      print(call, null, 'Nothing was changed.')
      return exit.refused
    }
    return session.write(async ({ keyturn }) => {
      await keyturn.unretire(keyring, id)
      const words = `Key ${id} of keyring "${keyring}" is retiring again; the database no longer refuses it.\nThen: keyturn rotate ${keyring}`
      print(call, { keyring, version: id, state: 'retiring' }, words)
      return exit.done
    })
  })
}
