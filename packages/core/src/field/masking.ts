import { fail } from '../errors.ts'
import type { Stored } from './codec.ts'
import type { Field } from './field.ts'
import type { BoundArgument, EncryptedValue } from './kinds.ts'
import { isReserved } from './reserved.ts'

/** What stands in place of a secret wherever people and browsers see it. */
export const MASK = '********'

export const isMask = (value: unknown): boolean => value === MASK

/** What may be shown of a value: the mask, whatever it is; nothing of what is not set (`null`, `undefined`, the empty text). */
export function maskValue<T>(value: T): T | typeof MASK {
  return value === null || value === undefined || (value as unknown) === '' ? value : MASK
}

/**
 * What is to be stored when a form comes back: the mask keeps what is stored, the empty text clears it, anything else replaces it.
 *
 * @param incoming - what came back
 * @param stored - the value as it is stored; null or the empty text where none is
 * @returns the value to store: the same one, a new one, or null where it was cleared
 * @throws `ERR_MASK` for a mask where nothing is stored
 * @throws `ERR_SECRET_FIELD` for a value that is encrypted already
 */
export async function mergeValue<B extends string>(
  incoming: string,
  stored: Stored | null | undefined,
  field: Field<B>,
  ...bound: BoundArgument<B>
): Promise<EncryptedValue | null> {
  const place = `field "${field.name}"`
  if (incoming === '') return null
  if (!isMask(incoming)) return await encryptOnce(field, incoming, bound, place)
  if (stored === null || stored === undefined || stored.length === 0) throw fail('ERR_MASK', place, 'nothing is stored there')
  return stored
}

/**
 * Encrypts what is no value yet: a document that was loaded, changed and encrypted whole would be lost to its reader.
 *
 * @throws `ERR_SECRET_FIELD` for a value that is encrypted already
 */
export async function encryptOnce<B extends string>(
  field: Field<B>,
  plaintext: string,
  bound: BoundArgument<B>,
  at: string,
): Promise<EncryptedValue> {
  if (isReserved(plaintext) || (await opens(field, plaintext, bound)))
    throw fail('ERR_SECRET_FIELD', at, 'the value there is encrypted already. Merge the document instead')
  return await field.encrypt(plaintext, ...bound)
}

/** Only what has the shape of the format is tried: of most formats that is no ordinary text. */
async function opens<B extends string>(field: Field<B>, text: string, bound: BoundArgument<B>): Promise<boolean> {
  if (![field.writes, ...field.reads.map(({ codec }) => codec)].some((codec) => !codec.keyless && codec.matches(text))) return false
  try {
    field.open(text, field.canonicalBound(field.bind.map(({ column }) => bound[0]?.[column as B])))
    return true
  } catch {
    return false
  }
}
