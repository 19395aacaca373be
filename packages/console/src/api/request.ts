import { address } from '../base.ts'
import type { Page } from '../domain.ts'
import { Problem, unreachable } from './problem.ts'

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'
type Query = { readonly [name: string]: string | number | boolean | undefined }

/** A request of the API. */
export interface Request {
  readonly method?: Method
  readonly query?: Query
  readonly body?: object
  /** The same key with the same body is done once: a second press, or a repeat after a lost answer, changes nothing twice. */
  readonly once?: string
}

let whenLoggedOut = () => {}
/** Says what happens when the server does not know us any more. */
export function onLoggedOut(listener: () => void): void {
  whenLoggedOut = listener
}

/** Asks the server. @throws Problem */
export async function request<T>(path: string, { method = 'GET', query = {}, body, once }: Request = {}): Promise<T> {
  const response = await fetch(address(path) + search(query), {
    method,
    headers: {
      accept: 'application/json',
      // Only a page of this origin can send a header of its own name: what changes something is refused without it.
      ...(method === 'GET' ? {} : { 'x-keyturn': '1' }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(once === undefined ? {} : { 'idempotency-key': once }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new Problem({ code: unreachable, status: 0, detail: 'the server does not answer' })
  })
  if (!response.ok) throw await problemOf(response, path)
  return (response.status === 204 ? null : await response.json()) as T
}

async function problemOf(response: Response, path: string): Promise<Problem> {
  const { status } = response
  // Of the log-in itself 401 means a wrong password.
  if (status === 401 && path !== 'v1/session' && path !== 'v1/setup') whenLoggedOut()
  const found = await response.json().catch(() => ({}))
  const { code = `HTTP_${status}`, detail = `the server answered with ${status}`, field = null } = found
  return new Problem({ code: String(code), detail: String(detail), status, field })
}

function search(query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, String(value)]]))
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}

/** A whole list, page by page: for lists that stay short, such as keyrings and fields. */
export async function all<T>(path: string, query: Query = {}): Promise<readonly T[]> {
  const items: T[] = []
  for (let after: string | undefined; ; ) {
    const page = await request<Page<T>>(path, { query: { ...query, limit: 200, after } })
    items.push(...page.items)
    if (page.next === null) return items
    after = page.next
  }
}

/** A new key for one intention of the user. `crypto.randomUUID` is not there without TLS. */
export const intention = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
