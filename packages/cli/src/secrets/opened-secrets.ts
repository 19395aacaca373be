import { commandActor, fail, isKeyturnError } from '@keyturn/core'
import { openSecrets, type Secrets, sealedField } from '@keyturn/secrets'
import type { Call } from '../call.ts'
import { client } from '../database.ts'
import { type Session, withSession } from '../session.ts'

/** An opened configuration with its secrets. */
export interface SecretsSession extends Session {
  readonly secrets: Secrets
}

/** `looking` makes and changes nothing. */
type Purpose = 'looking' | 'acting'

/**
 * Opens the configuration and its secrets, does the work, and closes them.
 *
 * @throws `ERR_USAGE` where the configuration has no secrets, `ERR_STATE_MISSING` before `keyturn init`
 */
export async function withSecrets(call: Call, purpose: Purpose, work: (session: SecretsSession) => Promise<number>): Promise<number> {
  const opened = async (session: Session) => await work({ ...session, secrets: await secretsOf(call, session, purpose) })
  return await withSession(call, 'values', async (session) => {
    if (!hasSecrets(session)) throw fail('ERR_USAGE', 'the configuration has no "secrets". docs/secrets.md says how they are declared')
    return purpose === 'looking' ? await opened(session) : await session.write(opened)
  }).catch((error: unknown) => {
    // What stands in our own table cannot be looked at before that is made.
    const unmade = isKeyturnError(error, 'ERR_UNKNOWN_TABLE') && error.message.includes(`"${sealedField}"`)
    throw unmade ? fail('ERR_STATE_MISSING', 'keyturn') : error
  })
}

export const hasSecrets = ({ selection }: Pick<Session, 'selection'>): boolean => Object.keys(selection.config.secrets ?? {}).length > 0

/** The secrets of a session. */
export const secretsOf = ({ io }: Call, { keyturn, database }: Session, purpose: Purpose): Promise<Secrets> =>
  openSecrets(keyturn, { ...client(database), env: io.env, actor: commandActor(), readOnly: purpose === 'looking' })

/** The id of the run that is meant: a run, or the secret that has one which is not over. @throws `ERR_USAGE`, `ERR_UNKNOWN_NAME` */
export async function secretRunOf({ args: [named = ''] }: Call, { secrets }: SecretsSession): Promise<string> {
  if (!secrets.names.includes(named)) return (await secrets.run(named)).run.id
  const { run } = await secrets.status(named)
  if (run === null) throw fail('ERR_USAGE', `secret "${named}" has no run that is not over. See "keyturn secrets history ${named}"`)
  return run.id
}
