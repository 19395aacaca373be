import { fail, type KeyState, nearest } from '@keyturn/core'
import type { Call } from './call.ts'
import { keyringOf } from './flags/field-config.ts'
import type { Session } from './session.ts'

/**
 * The key version that the arguments KEYRING VERSION name, before anything is opened for writing.
 *
 * @throws `ERR_UNKNOWN_NAME` with the nearest ids, `ERR_KEY_STATE` where it is in another state than `state`, `ERR_USAGE` for a keyring
 * of the environment
 */
export async function versionOf(
  { args }: Call,
  { keyturn, selection }: Session,
  { state, becomes }: { readonly state: KeyState; readonly becomes: KeyState },
): Promise<{ readonly keyring: string; readonly id: string }> {
  const keyring = keyringOf(selection)
  const id = args[1] ?? ''
  const [found] = (await keyturn.status(keyring)).keyrings
  if (found === undefined || found.kind !== 'stored')
    throw fail('ERR_USAGE', `keyring "${keyring}" has keys from the environment or a table of the application, which have no states here`)
  const version = found.versions.find((one) => one.id === id)
  if (version === undefined) {
    const ids = found.versions.map((one) => one.id)
    throw fail('ERR_UNKNOWN_NAME', 'key version', id, nearest(id, ids))
  }
  if (version.state !== state) throw fail('ERR_KEY_STATE', keyring, id, version.state, becomes)
  return { keyring, id }
}
