import { fail } from '../errors.ts'

/**
 * Refuses options that a codec does not have. A misspelt option would otherwise mean its default, and values would be written
 * in another format than the one declared.
 *
 * @throws `ERR_CONFIG`
 */
export function checkOptions(codec: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw fail('ERR_CONFIG', `codec "${codec}"`, `there is no option "${name}". Options: ${known.join(', ')}`)
  }
}

/**
 * The option if it is one of those allowed, the first of them if it is not given.
 *
 * @throws `ERR_CONFIG`
 */
export function oneOf<const T>(codec: string, option: string, value: unknown, allowed: readonly [T, ...T[]]): T {
  if (value === undefined) return allowed[0]
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw fail('ERR_CONFIG', `codec "${codec}", option "${option}"`, `it must be one of ${allowed.join(', ')}`)
  return found
}
