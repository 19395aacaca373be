import { type ErrorClass, type ErrorCode, errorCodes, fail, isKeyturnError, type KeyturnError } from '@keyturn/core'
import { hasZodFastifySchemaValidationErrors, isResponseSerializationError } from 'fastify-type-provider-zod'

/** What an error is answered with (RFC 9457). */
export interface Problem {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
  /** JSON pointer of the member of the request that was refused; of a query or a path, its name. */
  readonly field?: string
}
/** What an error may carry beside its code, to be answered otherwise than its class says. */
interface Answering {
  readonly statusCode?: number
  readonly headers?: { readonly [name: string]: string }
  readonly field?: string
}

const byClass: Record<ErrorClass, number> = { usage: 422, key: 503, decrypt: 422, conflict: 409, service: 503 }
const byCode: Partial<Record<ErrorCode, number>> = {
  ERR_INPUT: 400,
  ERR_UNAUTHORIZED: 401,
  ERR_FORBIDDEN: 403,
  ERR_PASSWORD_AGAIN: 403,
  ERR_NOT_FOUND: 404,
  ERR_UNKNOWN_NAME: 404,
  // A checkpoint that somebody gives, which is none.
  ERR_CERTIFICATE: 422,
  ERR_UNEXPECTED: 500,
}
const titles: { readonly [status: number]: string } = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** An error with the answer it is to be given. */
export function answering(error: KeyturnError, answer: Answering): KeyturnError {
  return Object.assign(error, answer)
}

/** A member of a request that is refused. @param field - its JSON pointer */
export const wrongInput = (field: string, why: string): KeyturnError =>
  answering(fail('ERR_INPUT', field === '' ? 'its body' : field, why), { statusCode: 400, field })

/** What is answered to an error, and the headers. Of errors that are not ours it says nothing: they may hold a secret. */
export function problemOf(error: unknown): { readonly problem: Problem; readonly headers: { readonly [name: string]: string } } {
  const known = knownError(error)
  const { statusCode, headers = {}, field } = known as KeyturnError & Answering
  const status = statusCode ?? byCode[known.code] ?? byClass[errorCodes[known.code][0]]
  const problem: Problem = {
    type: 'about:blank',
    title: titles[status] ?? 'Error',
    status,
    code: known.code,
    detail: known.message,
    ...(field === undefined ? {} : { field }),
  }
  return { problem, headers: status === 401 ? { 'www-authenticate': 'Bearer', ...headers } : headers }
}

function knownError(error: unknown): KeyturnError {
  if (isKeyturnError(error)) return error
  if (hasZodFastifySchemaValidationErrors(error)) return ofValidation(error)
  // What Fastify itself refuses, before a route is reached: its own messages quote nothing of the body.
  const { statusCode, code } = (typeof error === 'object' && error !== null ? error : {}) as { statusCode?: unknown; code?: unknown }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 && !isResponseSerializationError(Object(error)))
    return answering(fail('ERR_INPUT', 'its body', refusals[String(code)] ?? 'it cannot be read'), { statusCode, field: '' })
  return fail('ERR_UNEXPECTED', 'an error that is not of Keyturn')
}

const refusals: { readonly [code: string]: string } = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'it is too large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'it must be JSON',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'it is empty, and said to be JSON',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'it has another length than it says',
}

interface Invalid {
  readonly validation: readonly {
    readonly instancePath: string
    readonly message?: string | undefined
    readonly params: Record<string, unknown>
  }[]
}

/** The first thing that is wrong, by its pointer. Its value is not repeated. */
function ofValidation({ validation }: Invalid): KeyturnError {
  const [first] = validation
  const path = first?.instancePath === '/' ? '' : (first?.instancePath ?? '')
  const { keys } = (first?.params ?? {}) as { keys?: unknown }
  if (Array.isArray(keys)) {
    // The name of an unknown member is repeated only where it is a word: it may be a secret that was pasted in the wrong place.
    const [unknown = ''] = keys as string[]
    return wrongInput(`${path}/${/^[A-Za-z_]{1,32}$/.test(unknown) ? unknown : '…'}`, 'it is not known')
  }
  return wrongInput(path, messageOf(first?.message))
}

/** zod's sentence, in the middle of ours. It quotes what was expected, never what was given. */
function messageOf(message: string | undefined): string {
  const text = (message ?? 'it does not fit').replace(/, received .*$/, '')
  return text.charAt(0).toLowerCase() + text.slice(1)
}
