import { fail } from '@keyturn/core'
import { type Call, print } from '../call.ts'
import { nextCommands } from '../command-line.ts'
import { findConfig } from '../config-file.ts'
import { exit } from '../exit.ts'
import { declaresFields } from '../flags/field-config.ts'
import { oneLine } from '../printable.ts'
import { rotationOf } from '../rotation-of.ts'
import { withSession } from '../session.ts'

/** Ends the hold that a transaction left: the tables can be written again. */
export default function release(call: Call): Promise<number> {
  return withSession(call, 'ending', async (session) => {
    const id = await rotationOf(call, session, 'held')
    const tables = await session.keyturn.release(id)
    const others = tables.length === 0 ? (await session.keyturn.status()).holds : []
    if (others.length > 0)
      throw fail('ERR_USAGE', `rotation ${id} holds no table; ${others.map(({ rotationId }) => rotationId).join(', ')} does`)
    const released = oneLine(`Released: ${tables.length === 0 ? 'nothing was held' : tables.join(', ')}.`)
    print(call, { id, tables }, `${released}\nNext: ${await verification(call, id)}`)
    return exit.done
  })
}

/** Fields and keys are not needed here, and are needed there: what is not known is left to the operator. */
async function verification(call: Call, id: string): Promise<string> {
  const { verify } = nextCommands(call, id)
  const known = declaresFields(call.options) || (await findConfig(call.io.cwd, call.options.config)) !== null
  return known ? verify : `${verify} --field … --format … --old-env … --new-env …`
}
