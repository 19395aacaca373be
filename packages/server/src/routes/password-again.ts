import { fail } from '@keyturn/core'
import type { Caller } from '../access.ts'
import type { Server } from '../server.ts'

/**
 * Asks the person at a browser for the password again: what cannot be undone is not done by whoever finds a browser open.
 *
 * A token is its own proof, and who an application logs in has no password here.
 *
 * @throws `ERR_PASSWORD_AGAIN` without it, or with another
 */
export async function assertPasswordAgain({ access }: Server, caller: Caller, password: string | undefined): Promise<void> {
  if (caller.kind === 'user' && (password === undefined || !(await access.passwordHolds(caller, password))))
    throw fail('ERR_PASSWORD_AGAIN')
}
