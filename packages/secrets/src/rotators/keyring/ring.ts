import { ConflictError, type ErrorCode, type Field, isKeyturnError, type Keyturn, ServiceError } from '@keyturn/core'
import { outside } from '../../outside/failure.ts'

/** A version of a keyring as it stands in the store now. */
export type Version = Field['keyring']['snapshot']['versions'][number]

/** The fields whose values a keyring encrypts. */
export function fieldsUnder(keyturn: Keyturn, keyring: string): Field[] {
  return Object.keys(keyturn.config.fields)
    .map((name) => keyturn.field(name) as Field)
    .filter((field) => field.keyring.name === keyring)
}

/** The versions of a keyring, loaded anew: another process may have rotated it a moment ago. */
export async function versionsOf(
  keyturn: Keyturn,
  keyring: string,
): Promise<{ readonly active: Version; readonly all: readonly Version[] }> {
  const [field] = fieldsUnder(keyturn, keyring)
  if (field === undefined) throw outside('refused', `keyring "${keyring}"`, 'no field of the configuration is under it')
  const { active, versions } = await field.keyring.reload()
  return { active, all: versions }
}

/** Places whose values name no key: nothing can refuse an old version there, or prove that none is left. */
export function namelessPlaces(keyturn: Keyturn, keyring: string): string[] {
  return fieldsUnder(keyturn, keyring).flatMap(({ name, writes, keyId, location }) => {
    if (location.store !== undefined) return [`field "${name}" in Redis, which cannot look at what is written`]
    return writes.namesKey || keyId !== null ? [] : [`field "${name}", whose format "${writes.name}" names no key`]
  })
}

/** Encrypts a text by a field and opens it again, bound to a row that is not there. @returns whether it came back */
export async function canary(field: Field): Promise<boolean> {
  const text = 'keyturn canary'
  const values = { text, int: 0, uuid: '00000000-0000-4000-8000-000000000000', bytes: Buffer.from(text), bool: false }
  const bound = Object.fromEntries(field.bind.map(({ column, type }) => [column, values[type]]))
  if (field.keyId === null) return (await field.decrypt(await field.encrypt(text, bound), bound)) === text
  return (await field.decryptKeyed(await field.encryptKeyed(text, bound), bound)) === text
}

const over = ['completed', 'cancelled', 'failed']

/** The rotation of a keyring that is not over, whoever began it. */
export async function unfinishedOf(keyturn: Keyturn, keyring: string) {
  const { items } = await keyturn.rotations.list({ keyring, limit: 20 })
  return items.find(({ state }) => !over.includes(state)) ?? null
}

/** A person must decide before these can be done; and what says already what it means. */
const decided: readonly ErrorCode[] = ['ERR_SET_ASIDE', 'ERR_RESUME_KEYS', 'ERR_OUTSIDE_BUSY', 'ERR_OUTSIDE_REFUSED']

/**
 * Does work on the keyring. What others stand in the way of is tried again, with nothing half done.
 *
 * @param interrupted - what it means that the call was over before the work was
 * @throws as a rotator
 */
export async function asked<T>(where: string, work: () => Promise<T>, interrupted = 'the call was over before it was done'): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isKeyturnError(error, 'ERR_INTERRUPTED')) throw outside('busy', where, interrupted)
    const passes = error instanceof ConflictError || error instanceof ServiceError || isKeyturnError(error, 'ERR_KEYRING_STALE')
    if (passes && !decided.includes(error.code)) throw outside('busy', where, error.message, 5_000)
    throw error
  }
}

/** A signal that ends work some time before its call ends, so that a batch can be finished. */
export function stretch(signal: AbortSignal, callMs: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(callMs - Math.min(20_000, callMs / 4))])
}
