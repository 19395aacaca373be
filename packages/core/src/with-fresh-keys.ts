import { fail, isKeyturnError } from './errors.ts'
import type { LiveKeyring } from './keyring/live-keyring.ts'
import type { Keyturn } from './keyturn.ts'
import { isFenced } from './rotation/fencing.ts'

/** What is needed of an opened configuration. */
export type KeySource = Pick<Keyturn, 'config' | 'field'>

/** Where drivers and ORMs keep the error that they wrap. */
const wraps = ['cause', 'driverError', 'original'] as const
const deepest = 8

/**
 * Runs what reads or writes encrypted columns; where it fails for want of a key that this process has not loaded, loads the keyrings
 * again and runs it once more. For column types and plugins, which cannot wait and do not see the answer of the database.
 *
 * - The database refuses a retired key: a fence stands there, and this process has not heard of the new key.
 * - `ERR_KEY_NOT_LOADED` of a sync form: the value names a key that is new, or more is encrypted at once than was reserved.
 * - `ERR_KEYRING_STALE` of a sync form: the process slept for so long that it may have missed a new key.
 *
 * A process that dies in between has done nothing, or `work` once.
 *
 * @param work - all of it: it encrypts anew when it runs again, and begins its own transaction, because one that was refused a write is over
 * @throws `ERR_KEY_FENCED` when the database refuses the key again
 * @example
 * import { open } from '@keyturn/core'
 *
 * const keyturn = await open(config, { pool })
 * await withFreshKeys(keyturn, async () => 'what work gives') // 'what work gives'
 * await keyturn.close()
 */
export async function withFreshKeys<T>(keyturn: KeySource, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(await loadedFor(keyturn, error))) throw error
  }
  try {
    return await work()
  } catch (error) {
    throw fenceError(error) ?? error
  }
}

/** Loads the keyrings again if `error` is one that fresh keys may mend. @returns whether it is */
export async function loadedFor(keyturn: KeySource, error: unknown): Promise<boolean> {
  if (isFenced(error) === null && !isNotLoaded(error)) return false
  const fields = Object.keys(keyturn.config.fields).map((name) => keyturn.field(name))
  const reading = fields.flatMap(({ reads }) => reads.flatMap(({ keyring }) => keyring ?? []))
  const writing = new Set<LiveKeyring>(fields.map(({ keyring }) => keyring))
  for (const keyring of new Set([...writing, ...reading])) await keyring.reload()
  // Of a keyring that only decrypts nothing can be reserved.
  for (const keyring of writing) await keyring.reserve(1)
  return true
}

/** What the refusal of a fence is for a caller: without the database's message, which quotes the row. Null for every other error. */
export function fenceError(error: unknown): Error | null {
  const keyId = isFenced(error)
  return keyId === null ? null : fail('ERR_KEY_FENCED', keyId)
}

function isNotLoaded(error: unknown, depth = deepest): boolean {
  if (typeof error !== 'object' || error === null || depth === 0) return false
  if (isKeyturnError(error, 'ERR_KEY_NOT_LOADED', 'ERR_KEYRING_STALE')) return true
  return wraps.some((name) => isNotLoaded((error as Record<string, unknown>)[name], depth - 1))
}
