import { type ErrorClass, type ErrorCode, errorCodes, fail, isKeyturnError, type KeyturnError } from '../../errors.ts'

/** What is answered to a request, whatever the framework. */
export interface Answer {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly body: object
}

const byClass: Record<ErrorClass, number> = { usage: 422, key: 503, decrypt: 422, conflict: 409, service: 503 }
const byCode: Partial<Record<ErrorCode, number>> = {
  ERR_UNAUTHORIZED: 401,
  ERR_FORBIDDEN: 403,
  ERR_NOT_FOUND: 404,
  ERR_UNKNOWN_NAME: 404,
  ERR_UNEXPECTED: 500,
}
const titles: { readonly [status: number]: string } = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

export function json(status: number, body: object, headers: Answer['headers'] = {}): Answer {
  return { status, body, headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers } }
}

/** A problem document (RFC 9457) with the code of an error. Of errors that are not ours it says nothing: they may hold a secret. */
export function problem(error: unknown, headers: Answer['headers'] = {}, status?: number): Answer {
  const { code, message }: KeyturnError = isKeyturnError(error) ? error : fail('ERR_UNEXPECTED', 'an error that is not of Keyturn')
  const answered = status ?? byCode[code] ?? byClass[errorCodes[code][0]]
  return json(
    answered,
    { type: 'about:blank', title: titles[answered] ?? 'Error', status: answered, code, detail: message },
    { 'content-type': 'application/problem+json', ...headers },
  )
}

/** For a request that names nobody. */
export const unauthorized = (): Answer => problem(fail('ERR_UNAUTHORIZED'), { 'www-authenticate': 'Bearer' })

/** An answer whose `location` is an address below the prefix under which the routes are mounted. */
export function below(prefix: string, { headers, ...answer }: Answer): Answer {
  const { location } = headers
  return { ...answer, headers: location === undefined ? headers : { ...headers, location: `${prefix}${location}` } }
}
