import { type Call, print, say } from '../../call.ts'
import { exit } from '../../exit.ts'
import { oneLine } from '../../printable.ts'
import { assertAgreeable, interruptible, typed } from '../../run.ts'
import { count } from '../../screens/words.ts'
import { withSession } from '../../session.ts'

/** Ends every session in which fields in Redis stand; says how many, and has the number typed first, unless told --yes. */
export default function end(call: Call): Promise<number> {
  assertAgreeable(call, 'sessions end')
  return withSession(call, 'values', async (session) => {
    const fields = session.selection.fields === null ? {} : { fields: session.selection.fields }
    const found = await session.keyturn.sessions.count(fields)
    const total = found.reduce((sum, { sessions }) => sum + sessions, 0)
    if (!call.options.yes) {
      for (const { pattern, sessions } of found) say(call, oneLine(`${pattern}: ${count(sessions, 'session')}`))
      say(call, 'All of them will end: everybody has to log in again. It cannot be undone.')
      if (!(await typed(session, String(total)))) {
        print(call, null, 'Nothing was changed.')
        return exit.refused
      }
    }
    return session.write(async ({ keyturn }) => {
      call.attempted = true
      const { result: ended } = await interruptible(call, ({ signal }) =>
        keyturn.sessions.end({ ...fields, ...(signal === undefined ? {} : { signal }) }),
      )
      const words = ended.map(({ pattern, sessions }) => oneLine(`${pattern}: ${count(sessions, 'session')} ended.`))
      print(call, { sessions: ended }, words.join('\n'))
      return exit.done
    })
  })
}
