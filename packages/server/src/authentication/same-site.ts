import type { FastifyRequest } from 'fastify'

/**
 * Whether a request may come from a page of this server, as far as its browser says. Browsers say it in `Sec-Fetch-Site` where they reach the server
 * by TLS or on their own machine, else in `Origin`; what says neither is no browser of this decade.
 */
export function isSameSite(request: FastifyRequest, secure: boolean): boolean {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined) return site === 'same-origin'
  const { origin } = request.headers
  return origin === undefined || isOwn(origin, request, secure)
}

function isOwn(origin: string, { host }: FastifyRequest, secure: boolean): boolean {
  try {
    const { protocol, host: theirs } = new URL(origin)
    // Behind a proxy that nobody declared, the browser may speak TLS without our knowing.
    return (protocol === 'https:' || !secure) && theirs === new URL(`${protocol}//${host}`).host
  } catch {
    return false
  }
}

/** Whether a method changes nothing. */
export const isSafe = (method: string): boolean => ['GET', 'HEAD', 'OPTIONS'].includes(method)

/** Whether a request that is signed by a cookie was sent by a page of ours: no other page can set the header without asking us. */
export const isFromOurPage = (request: FastifyRequest, secure: boolean): boolean =>
  request.headers['x-keyturn'] === '1' && isSameSite(request, secure)
