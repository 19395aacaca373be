import { fail } from '../../errors.ts'

/**
 * The length of the IV in bytes. 12 is what GCM is made for; applications are found that use 16. Shorter ones would repeat.
 *
 * @throws `ERR_CONFIG` unless it is an integer from 12 to 32
 */
export function checkNonceLength(codec: string, iv: unknown): number {
  if (iv === undefined) return 12
  if (typeof iv === 'number' && Number.isInteger(iv) && iv >= 12 && iv <= 32) return iv
  throw fail('ERR_CONFIG', `codec "${codec}", option "iv"`, 'it must be an integer from 12 to 32')
}
