import type { KeyturnError } from '@keyturn/core'
import { outside } from './failure.ts'

/** A request to somebody's API. */
export interface Request {
  /** Who is asked, for messages: `the API of Fly`. */
  readonly where: string
  readonly url: string | URL
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly headers?: { readonly [name: string]: string }
  /** Sent as JSON; a string or URLSearchParams as it is. */
  readonly body?: unknown
  readonly signal: AbortSignal
  /** Statuses that are answers and no failures, beside 2xx: 404 where "gone" is what was wanted. */
  readonly expect?: readonly number[]
  /** Code of the issuer in the body of a refusal, which is safe to print: `(body) => body.error?.code`. Only letters, digits and _ - . are kept. */
  readonly codeOf?: (body: unknown) => unknown
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Parsed where it is JSON, else the text. */
  readonly body: unknown
}

/** Longer than any answer that is of use, in bytes. */
const MOST_BODY = 8 * 1024 * 1024
const MOST_WAIT_MS = 3_600_000

/**
 * Asks somebody's API once. Redirects are not followed: a credential in a header would go with them.
 *
 * @throws what `outside` makes: 429 and 425 are busy, and so is 503 where nothing was to be changed or where it says when to come back; other 5xx,
 * 408, 303, a broken connection, a silence and an endless answer uncertain; everything else refused. The body of an answer is in no message: some
 * issuers repeat the credential in it
 */
export async function ask({ where, url, method = 'GET', headers = {}, body, signal, expect = [], codeOf }: Request): Promise<Answer> {
  const raw = body === undefined || typeof body === 'string' || body instanceof URLSearchParams
  const response = await fetch(url, {
    method,
    headers: { ...(raw ? {} : { 'content-type': 'application/json' }), ...headers },
    redirect: 'manual',
    signal,
    ...(body === undefined ? {} : { body: raw ? (body as string | URLSearchParams) : JSON.stringify(body) }),
  }).catch(() => {
    throw outside('uncertain', where, signal.aborted ? 'there was no answer in time' : 'the connection broke, or there was none')
  })
  const text = await textOf(response).catch(() => {
    throw outside('uncertain', where, 'the answer broke off')
  })
  if (text === null) throw outside('uncertain', where, 'its answer is longer than any that is of use')
  const answer = { status: response.status, headers: response.headers, body: parsed(text) }
  if (response.ok || expect.includes(response.status)) return answer
  throw failureOf({ where, method, codeOf }, answer)
}

function failureOf(
  { where, method, codeOf }: { readonly where: string; readonly method: string; readonly codeOf: Request['codeOf'] },
  { status, headers, body }: Answer,
): KeyturnError {
  const named = codeOf === undefined ? undefined : safely(() => codeOf(body))
  const code = typeof named === 'string' && /^[\w.-]{1,64}$/.test(named) ? `, ${named}` : ''
  const why = `it answered ${status}${code}`
  const afterMs = retryAfter(headers)
  // A proxy says 503 as well when the connection to the server broke after the server was asked.
  const isUntouched = status === 503 && (method === 'GET' || afterMs !== undefined)
  if (status === 429 || status === 425 || isUntouched) return outside('busy', where, why, afterMs)
  return outside(status >= 500 || status === 408 || status === 303 ? 'uncertain' : 'refused', where, why, afterMs)
}

/** When to come back, in milliseconds from now: seconds, or a date by the clock of who answers. Undefined where it says neither. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? ''
  const dated = () => Date.parse(text) - (Date.parse(headers.get('date') ?? '') || Date.now())
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : /^[A-Za-z]{3,9},? /.test(text) ? dated() : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MOST_WAIT_MS)
}

/** The body as text; null where it is longer than we read. */
async function textOf({ body }: Response): Promise<string | null> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body ?? []) {
    length += chunk.length
    // To leave the loop ends the connection.
    if (length > MOST_BODY) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function safely(read: () => unknown): unknown {
  try {
    return read()
  } catch {
    return undefined
  }
}
