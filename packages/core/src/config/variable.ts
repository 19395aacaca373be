/** Lookahead: no key in hexadecimal. */
export const NO_HEX = '(?![0-9A-Fa-f]{32,}$)'

/**
 * The name of an environment variable. A key that was put where its name belongs is none, so that it is not printed as one: hexadecimal,
 * 32 characters of every kind, or 32 without the underscore that a name of that length has.
 */
export const VARIABLE = `^${NO_HEX}(?!(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9_-]{32,}$)(?![A-Za-z0-9.-]{32,}$)[A-Za-z_][A-Za-z0-9_.-]{0,127}$`

/**
 * Whether a text can be the name of an environment variable, and is no key that was put in its place.
 *
 * @example
 * isVariableName('ENCRYPTION_KEY') // true
 * isVariableName('4f'.repeat(32)) // false
 */
export const isVariableName = (text: string): boolean => new RegExp(VARIABLE, 'u').test(text)

/**
 * What a variable holds; undefined where it is not set or empty. Only text counts: `process.env` has the members of every object, such as
 * `constructor`, and they are no variables.
 *
 * @example
 * variableOf({ KEY: 'value' }, 'KEY') // 'value'
 * variableOf({}, 'constructor') // undefined
 */
export function variableOf(env: { readonly [name: string]: string | undefined }, name: string): string | undefined {
  const text: unknown = env[name]
  return typeof text === 'string' && text !== '' ? text : undefined
}
