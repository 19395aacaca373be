import { fail } from '@keyturn/core'
import type { Call } from './call.ts'
import { driverOf } from './database.ts'
import type { Session } from './session.ts'

const over = ['completed', 'cancelled', 'failed']

/**
 * The rotation that is meant: the one named, else the only one of the database that is unfinished, or that holds tables.
 *
 * @throws `ERR_USAGE` where there is none or several
 */
export async function rotationOf({ args }: Call, { keyturn }: Session, which: 'unfinished' | 'held'): Promise<string> {
  const [named] = args
  if (named !== undefined) return named
  const { rotations, holds } = await keyturn.status()
  const found =
    which === 'held'
      ? holds.map(({ rotationId }) => rotationId)
      : rotations.filter(({ state }) => !over.includes(state)).map(({ id }) => id)
  const [only, ...others] = [...new Set(found)]
  if (only === undefined) throw fail('ERR_USAGE', which === 'held' ? 'no rotation holds any table' : 'there is no unfinished rotation')
  if (others.length > 0) throw fail('ERR_USAGE', `say which rotation: ${[only, ...others].join(', ')}`)
  return only
}

/**
 * Refuses a rotation that cannot be gone on with, before anything is opened for writing. Of one that is completed and has no certificate
 * that can be made.
 *
 * @throws `ERR_UNKNOWN_NAME`, `ERR_ROTATION_STATE`, or `ERR_RESUME_KEYS` where its keyring or a field of it is not declared
 */
export async function assertResumable(id: string, { keyturn, database, selection }: Session): Promise<void> {
  const { keyrings, fields, schema, signing } = selection.config
  const driver = driverOf(database, schema)
  const run = (await driver.hasState()) ? await driver.runs.get(id) : null
  if (run === null) throw fail('ERR_UNKNOWN_NAME', 'rotation', id, '')
  const certified = async () => (await keyturn.certificates()).some(({ subject }) => subject === `rotation/${id}`)
  const certifiable = run.state === 'completed' && signing !== undefined && !(await certified())
  if (run.endedAt !== null && !certifiable) throw fail('ERR_ROTATION_STATE', id, run.state, 'resumed')
  const declared = Object.hasOwn(keyrings, run.keyring) && run.fields.every((name) => Object.hasOwn(fields, name))
  if (!declared) throw fail('ERR_RESUME_KEYS', id)
}
