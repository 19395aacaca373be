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

/**
 * Asks somebody's API once. Redirects are not followed: a credential in a header would go with them.
 *
 * @throws what `outside` makes: 429 and 503 are busy; other 5xx, a broken connection and a silence uncertain; everything else refused. The
 * body of an answer is in no message: some issuers repeat the credential in it
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
  const text = await response.text().catch(() => {
    throw outside('uncertain', where, 'the answer broke off')
  })
  const answer = { status: response.status, headers: response.headers, body: parsed(text) }
  if (response.ok || expect.includes(response.status)) return answer
  throw failureOf(where, answer, codeOf)
}

function failureOf(where: string, { status, headers, body }: Answer, codeOf: Request['codeOf']) {
  const named = codeOf === undefined ? undefined : safely(() => codeOf(body))
  const code = typeof named === 'string' && /^[\w.-]{1,64}$/.test(named) ? `, ${named}` : ''
  const why = `it answered ${status}${code}`
  const seconds = Number(headers.get('retry-after'))
  const afterMs = headers.has('retry-after') && Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, 3600) * 1000 : undefined
  if (status === 429 || status === 503) return outside('busy', where, why, afterMs)
  return outside(status >= 500 ? 'uncertain' : 'refused', where, why)
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
