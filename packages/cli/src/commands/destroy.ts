import { type Call, print, say } from '../call.ts'
import { exit } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { assertAgreeable, typed } from '../run.ts'
import { withSession } from '../session.ts'
import { versionOf } from '../version-of.ts'

/** Erases the material of a retired key version; has its id typed first, unless told --yes. */
export default function destroy(call: Call): Promise<number> {
  assertAgreeable(call, 'destroy')
  const { now, yes } = call.options
  return withSession(call, 'values', async (session) => {
    const { keyring, id } = await versionOf(call, session, { state: 'retired', becomes: 'destroyed' })
    if (!yes) {
      say(call, oneLine(`Key ${id} of keyring "${keyring}" will be erased. Nothing opens what is under it any more, in backups neither.`))
      if (!(await typed(session, id))) {
        print(call, null, 'Nothing was changed.')
        return exit.refused
      }
    }
    return session.write(async ({ keyturn }) => {
      await keyturn.destroy(keyring, id, now ? { now } : {})
      print(call, { keyring, version: id, state: 'destroyed' }, `Key ${id} of keyring "${keyring}" is destroyed.`)
      return exit.done
    })
  })
}
