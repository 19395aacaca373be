import { fail } from '../../errors.ts'

/**
 * Sessions in the clear are for development only.
 *
 * @throws `ERR_KEY_MISSING` in production
 */
export function assertDevelopment(): void {
  if (process.env.NODE_ENV === 'production') throw fail('ERR_KEY_MISSING', 'the key of the sessions')
}
