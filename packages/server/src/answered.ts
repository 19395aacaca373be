import { createHash } from 'node:crypto'
import { fail, isKeyturnError, type SqlState } from '@keyturn/core'
import { answering, problemOf, wrongInput } from './problem.ts'
import type { Route, RouteContext } from './route.ts'
import { dropKey, type IdempotentRequest, type KeptAnswer, keepAnswer, takeKey } from './state/idempotency.ts'

/** Answers that were given to requests with an `Idempotency-Key`: such a request, sent again, is not done again. */
export class Answered {
  readonly #state: SqlState

  constructor(state: SqlState) {
    this.#state = state
  }

  /**
   * Does a request, unless it was done before: then its answer is given again.
   *
   * What failed on our side, or has died with its server, can be sent again with the same key.
   */
  async once(context: RouteContext, route: Route): Promise<unknown> {
    const asked = requestOf(context, route)
    if (asked === null) return await route.handle(context)
    const taken = await takeKey(this.#state, asked)
    if (taken === 'other') throw fail('ERR_IDEMPOTENCY_KEY')
    if (taken === 'running')
      throw answering(fail('ERR_INPUT', 'Idempotency-Key', 'its first request has not been answered yet'), { statusCode: 409 })
    if (taken !== 'taken') return replay(context, taken)
    try {
      const answer = await route.handle(context)
      await keepAnswer(this.#state, asked, keptAnswer(context, answer))
      return answer
    } catch (error) {
      const { problem, headers } = problemOf(error)
      // Of two requests with another password the second is not the first one again.
      if (problem.status >= 500 || isKeyturnError(error, 'ERR_PASSWORD_AGAIN')) await dropKey(this.#state, asked)
      else await keepAnswer(this.#state, asked, { status: problem.status, headers, body: JSON.stringify(problem) })
      throw error
    }
  }
}

function requestOf({ request, caller, body }: RouteContext, { method, path }: Route): IdempotentRequest | null {
  const key = request.headers['idempotency-key']
  if (key === undefined || caller === null) return null
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(key))
    throw wrongInput('/Idempotency-Key', 'it has 1 to 128 printable characters')
  const url = request.url.split('?')[0]
  // A password must not be guessed at by a digest that stands in a table.
  const { password: _, ...told } = (body ?? {}) as Record<string, unknown>
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([method, path, url, told]))
    .digest('hex')
  return { actor: caller.actor, key, fingerprint }
}

function keptAnswer({ reply }: RouteContext, answer: unknown): KeptAnswer {
  const location = reply.getHeader('location')
  return { status: reply.statusCode, headers: typeof location === 'string' ? { location } : {}, body: JSON.stringify(answer ?? null) }
}

function replay({ reply }: RouteContext, { status, headers, body }: KeptAnswer): unknown {
  reply.code(status).headers({ ...headers, 'idempotency-replayed': 'true' })
  if (status < 400) return JSON.parse(body) as unknown
  return reply
    .header('content-type', 'application/problem+json')
    .serializer((text: unknown) => String(text))
    .send(body)
}
