import { fail, isKeyturnError } from '@keyturn/core'

/** An error as it is shown: a code to test and a sentence to act on. */
export interface Failure {
  readonly code: string
  readonly message: string
}

/**
 * What may be shown of an error. Of errors that are not ours only the code survives: their messages may quote a value, a statement
 * or a connection string.
 *
 * @param labels - names that stand for reserved names in messages
 */
export function describe(error: unknown, labels: ReadonlyMap<string, string> = new Map()): Failure {
  if (!isKeyturnError(error)) return describe(fail('ERR_UNEXPECTED', kindOf(error)))
  return { code: error.code, message: labelled(error.message, labels) }
}

/** A sentence with what the operator calls things, in place of reserved names. */
export function labelled(sentence: string, labels: ReadonlyMap<string, string>): string {
  let text = sentence
  for (const [name, label] of labels) text = text.replaceAll(`the environment variable ${name}`, label).replaceAll(name, label)
  return text
}

/** The code or the class of an error, where it looks like one. */
export function kindOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'no error object'
  const { code, name } = error as { code?: unknown; name?: unknown }
  return [code, name].find((word): word is string => typeof word === 'string' && /^[A-Za-z0-9_]{1,40}$/.test(word)) ?? 'no code'
}

/** The places an error went through, without its message, which may hold a value. */
export function places(error: unknown): string {
  // A message may hold a line that looks like a place.
  const stack = error instanceof Error ? (error.stack ?? '').replace(error.message, '') : ''
  return stack
    .slice(stack.indexOf('\n    at ') + 1)
    .split('\n')
    .filter((line) => line.startsWith('    at '))
    .join('\n')
}
