import { isKeyturnError } from '@keyturn/core'
import { z } from 'zod'
import { type Answer, ask, type Request } from '../../outside/http.ts'
import type { Call } from '../../secret/call.ts'
import { at, jsonPath, shown } from './json-path.ts'

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])

/** What an answer must be. */
export const expectations = {
  /** The statuses that are good; 200 to 299 unless given. */
  status: z.array(z.int().min(100).max(599)).min(1).optional(),
  /** A place in the JSON document of the answer. */
  path: jsonPath.optional(),
  /** What must stand there, or one of these; "ok", "healthy", "up", "pass" or true unless given. */
  expect: z.union([scalar, z.array(scalar).min(1)]).optional(),
  /** How long it may go on not being so, in milliseconds; 300,000 unless given. */
  settleMs: z.int().min(0).max(86_400_000).optional(),
}

export interface Expectations {
  readonly status?: readonly number[] | undefined
  readonly path?: string | undefined
  readonly expect?: z.infer<typeof scalar> | readonly z.infer<typeof scalar>[] | undefined
}

/** What was seen. `wrong` is no fault of the service but of the configuration, as far as can be told: it would not become right by waiting. */
export interface Seen {
  readonly good: boolean
  readonly wrong: boolean
  readonly sentence: string
}

const healthy = ['ok', 'healthy', 'up', 'pass', true] as const
const everyStatus = Array.from({ length: 500 }, (_, index) => 100 + index)

/** Asks once and compares. A service that is down or answers with an error is an answer, too. */
export async function askAndCompare(call: Call, request: Omit<Request, 'signal' | 'expect'>, expected: Expectations): Promise<Seen> {
  let answer: Answer
  try {
    answer = await ask({ ...request, signal: call.signal, expect: everyStatus })
  } catch (error) {
    if (isKeyturnError(error)) return { good: false, wrong: false, sentence: error.message }
    throw error
  }
  return compare(request.where, answer, expected)
}

function compare(where: string, { status, body }: Answer, { status: statuses, path, expect = healthy }: Expectations): Seen {
  const seen = (good: boolean, sentence: string, wrong = false): Seen => ({ good, wrong, sentence: `${where} ${sentence}` })
  const isGood = statuses === undefined ? status >= 200 && status < 300 : statuses.includes(status)
  // A document of health often comes with 503: the place in it says more.
  if (path === undefined || (statuses !== undefined && !isGood)) return seen(isGood, `answered ${status}`)
  const found = at(body, path)
  if (found === undefined) return seen(false, `answered ${status} with nothing at ${path}`, status < 500)
  const wanted: readonly unknown[] = Array.isArray(expect) ? expect : [expect]
  return seen(wanted.includes(found), `has ${shown(found)} at ${path}`)
}
