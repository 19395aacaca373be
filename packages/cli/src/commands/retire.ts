import { fail, type Keyturn, nearest } from '@keyturn/core'
import { type Call, print, say } from '../call.ts'
import { type Exit, exit } from '../exit.ts'
import { keyringOf } from '../flags/field-config.ts'
import { oneLine } from '../printable.ts'
import { agreed, assertAgreeable, interruptible, throttle } from '../run.ts'
import { retirementScreen } from '../screens/retirement.ts'
import { type Session, withSession } from '../session.ts'
import { assertForValues, signs } from '../signing/keyring.ts'
import { retireSigning } from '../signing/retire.ts'

/** Has the database refuse the old keys of a keyring and check every row, then retires them; asks first, unless told --yes. */
export default function retire(call: Call): Promise<number> {
  assertAgreeable(call, 'retire')
  throttle(call.options)
  const accepted = acceptedOf(call)
  return withSession(call, 'values', async (session) => {
    const keyring = keyringOf(session.selection)
    if (signs(session, keyring)) return await retireSigning(call, session, keyring)
    assertForValues(call, keyring)
    const versions = await retirable(call, session, keyring)
    if (!call.options.yes) {
      const what = versions.length === 0 ? 'what retired keys have lost of their fences' : `key ${versions.join(', ')}`
      say(call, oneLine(`Keyring "${keyring}": ${what}. The database will refuse new values under it, and check every row.`))
      if (!(await agreed(session, 'Retire?'))) {
        print(call, null, 'Nothing was changed.')
        return exit.refused
      }
    }
    const { version: named } = call.options
    const options = {
      ...(named === undefined ? {} : { versions: named }),
      ...(accepted === undefined ? {} : { acceptSetAside: accepted }),
    }
    return session.write((writing) => run(call, writing, (more) => writing.keyturn.retire(keyring, { ...options, ...more })))
  })
}

type Retiring = (options: Parameters<Parameters<typeof interruptible>[1]>[0]) => ReturnType<Keyturn['retire']>

async function run(call: Call, session: Session, work: Retiring): Promise<Exit> {
  const { result: retirements } = await interruptible(call, work)
  call.attempted = true
  const keyring = keyringOf(session.selection)
  print(call, { keyring, retirements }, retirementScreen(keyring, retirements))
  return retirements.some(({ accepted }) => accepted > 0) ? exit.remain : exit.done
}

/**
 * The versions that are retiring and meant, before anything is opened for writing. One that is retired already may be named or be the
 * only one: a fence that it has lost is put back.
 *
 * @throws `ERR_USAGE` where there is none, `ERR_UNKNOWN_NAME` or `ERR_KEY_STATE` for one that is named and cannot be retired
 */
async function retirable({ options }: Call, { keyturn }: Session, keyring: string): Promise<string[]> {
  const [found] = (await keyturn.status(keyring)).keyrings
  if (found === undefined || found.kind !== 'stored')
    throw fail(
      'ERR_USAGE',
      `keyring "${keyring}" has keys from the environment or a table of the application; they leave with it, and cannot be retired`,
    )
  const ids = found.versions.map(({ id }) => id)
  for (const id of options.version ?? []) {
    const state = found.versions.find((version) => version.id === id)?.state
    if (state === undefined) throw fail('ERR_UNKNOWN_NAME', 'key version', id, nearest(id, ids))
    if (!old.includes(state)) throw fail('ERR_KEY_STATE', keyring, id, state, 'retired')
  }
  const chosen = found.versions.filter(({ id, state }) => old.includes(state) && (options.version?.includes(id) ?? true))
  if (chosen.length === 0) throw fail('ERR_USAGE', `keyring "${keyring}" has no key that is retiring. "keyturn rotate" makes one`)
  return chosen.filter(({ state }) => state === 'retiring').map(({ id }) => id)
}

const old = ['retiring', 'retired']

function acceptedOf({ options }: Call): number | undefined {
  const { acceptSetAside: text } = options
  if (text === undefined) return undefined
  if (!/^[0-9]{1,12}$/.test(text)) throw fail('ERR_USAGE', '--accept-set-aside needs the exact number of values, a whole number')
  return Number(text)
}
