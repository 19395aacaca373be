import { fail } from '@keyturn/core'
import type { Caller } from '../../access.ts'

/** Who is named in the audit log. @throws `ERR_UNAUTHORIZED` for nobody, who is not let that far */
export function actorOf(caller: Caller | null): string {
  if (caller === null) throw fail('ERR_UNAUTHORIZED')
  return caller.actor
}
