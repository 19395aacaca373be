import { hash, verify } from '@node-rs/argon2'
import { wrongInput } from '../problem.ts'
import { type Turns, turns } from './turns.ts'

/**
 * As OWASP advises: argon2id with 19 MiB, two passes, one lane. They may be changed: a password is hashed anew when it is used next.
 */
const parameters = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 } as const
const written = `$argon2id$v=19$m=${parameters.memoryCost},t=${parameters.timeCost},p=${parameters.parallelism}$`

export const passwordBytes = 256
export const leastCharacters = 12

/** The name as it is compared: `Ada` and `ada` are one. */
export const fold = (name: string): string => name.toLowerCase()

// Keyboards write é in two ways.
const normal = (password: string): string => password.normalize('NFKC')

/**
 * The rules, and there are no others: length is what helps.
 *
 * @throws `ERR_INPUT` with what is wrong
 */
export function assertPassword(password: string, name: string, field = '/password'): void {
  const text = normal(password)
  if (!password.isWellFormed()) throw wrongInput(field, 'it is not well-formed text')
  if ([...text].length < leastCharacters) throw wrongInput(field, `it needs at least ${leastCharacters} characters`)
  if (Buffer.byteLength(text) > passwordBytes) throw wrongInput(field, `it may have at most ${passwordBytes} bytes`)
  if (fold(text) === fold(name)) throw wrongInput(field, 'it must not be the name')
}

/** Whether a stored hash was made with other parameters than today's. */
export const isOutdated = (stored: string): boolean => !stored.startsWith(written)

/** Hashes and checks passwords, a bounded number at a time. */
export interface Passwords {
  hash(password: string): Promise<string>
  /**
   * Whether it is the password. Null: there is no such user; then as much work is done, so that the time tells nothing.
   *
   * @param known - whether the browser has signed in before: then strangers' attempts are not waited for
   */
  holds(password: string, stored: string | null, known: boolean): Promise<boolean>
}

export async function openPasswords(): Promise<Passwords> {
  const strangers = turns({ atOnce: 1, waiting: 32 })
  const friends = turns({ atOnce: 1, waiting: 32 })
  const nobodys = await hash('the password of nobody', parameters)
  return {
    hash: (password) => friends(() => hash(normal(password), parameters)),
    holds: (password, stored, known) => check(known ? friends : strangers, password, { stored, nobodys }),
  }
}

async function check(inTurn: Turns, password: string, { stored, nobodys }: { stored: string | null; nobodys: string }): Promise<boolean> {
  // Verified as any other; what is longer is a password of nobody.
  const text = Buffer.byteLength(normal(password)) > passwordBytes ? '' : normal(password)
  const same = await inTurn(() => verify(stored ?? nobodys, text)).catch((error: unknown) => {
    if (error instanceof Error && 'statusCode' in error) throw error
    // What stands in the database is no hash: nobody's password is that.
    return false
  })
  return same && stored !== null
}
