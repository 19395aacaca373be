import type { FastifyReply, FastifyRequest } from 'fastify'
import { knownDays } from './browsers.ts'
import type { Ground } from './ground.ts'

/** The cookies of authentication, each with how long a browser keeps it, in seconds; null: until it is closed. */
const cookies = {
  session: { name: 'keyturn', maxAgeSeconds: null },
  browser: { name: 'keyturn-browser', maxAgeSeconds: knownDays * 86_400 },
} as const
export type CookieKind = keyof typeof cookies

/**
 * The value of one of our cookies; the empty text if there is none, or several: a page of a neighbouring host can plant a second one,
 * and nobody knows which is ours.
 */
export function readCookie(request: FastifyRequest, kind: CookieKind, { secure }: Pick<Ground, 'secure'>): string {
  const name = nameOf(kind, secure)
  const values = (request.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))
  return values.length === 1 ? (values[0] ?? '') : ''
}

/** Gives a cookie to the browser; an empty value takes it away. Beside other cookies of the answer. */
export function setCookie(reply: FastifyReply, kind: CookieKind, value: string, ground: Pick<Ground, 'secure' | 'prefix'>): void {
  const { maxAgeSeconds } = cookies[kind]
  const age = value === '' ? 0 : maxAgeSeconds
  // What begins with __Host- is sent to this host alone, and no neighbour can set it. Browsers want `/` as its path.
  const path = ground.secure || ground.prefix === '' ? '/' : ground.prefix
  const parts = [
    `${nameOf(kind, ground.secure)}=${value}`,
    `Path=${path}`,
    'HttpOnly',
    'SameSite=Strict',
    ...(ground.secure ? ['Secure'] : []),
    ...(age === null ? [] : [`Max-Age=${age}`]),
  ]
  // Fastify adds to what is there already; set-cookie is the one header for which it does.
  reply.header('set-cookie', parts.join('; '))
}

const nameOf = (kind: CookieKind, secure: boolean): string => `${secure ? '__Host-' : ''}${cookies[kind].name}`
