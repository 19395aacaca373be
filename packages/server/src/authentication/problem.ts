import { fail, type KeyturnError } from '@keyturn/core'
import { answering } from '../problem.ts'

/** Too many attempts: to be answered 429. */
export function tooMany(seconds: number): KeyturnError {
  const wait = Math.max(1, Math.ceil(seconds))
  return answering(fail('ERR_RATE_LIMITED', wait), { statusCode: 429, headers: { 'retry-after': String(wait) } })
}

/** A request with a cookie that a page of this server did not send: to be answered 403. */
export const crossSite = (): KeyturnError =>
  fail('ERR_FORBIDDEN', 'it changes something by a cookie, and no page of this server sent it. Send "X-Keyturn: 1", or a token')
