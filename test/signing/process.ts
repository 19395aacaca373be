import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { Pool } from 'pg'
import { isKeyturnError, open } from '../../packages/core/src/index.ts'

/**
 * One process of an application that signs and verifies tokens. Arguments: the address of the database, its configuration, and the
 * address of the JWKS document, or an empty text. Prints `port N`; ends its work and then itself on SIGTERM.
 */
const [, , url = '', config = '{}', jwks = ''] = process.argv
const pool = new Pool({ connectionString: url, max: 2 })
pool.on('error', () => {})
const { secrets: _, ...rest } = JSON.parse(config)
const keyturn = await open(rest, { pool, warn: () => {} })
const signing = keyturn.signing('jwt')
// As a service elsewhere does it that has nothing but the document: for half of the time that the configuration states.
const remote = jwks === '' ? null : createRemoteJWKSet(new URL(jwks), { cacheMaxAge: signing.times.jwksCacheMs / 2 })

const routes: Record<string, (request: IncomingMessage, response: ServerResponse) => Promise<void>> = {
  '/mint': async (_, response) => void response.end(await signing.sign({ sub: 'ada' })),
  '/verify': async (request, response) => void response.end((await signing.verify(await text(request))).kid),
  '/verify-remote': async (request, response) => {
    const token = await text(request)
    await (remote === null
      ? signing.verify(token)
      : jwtVerify(token, remote, { algorithms: [signing.algorithm], clockTolerance: 1 })
    ).catch((error: { code?: string }) => {
      if (String(error.code).startsWith('ERR_JW')) response.statusCode = 401
      else throw error
    })
    response.end()
  },
  '/.well-known/jwks.json': async (_, response) => {
    const { status, headers, body } = await signing.jwksResponse()
    response.writeHead(status, headers).end(body)
  },
}

const server = createServer((request, response) => {
  const route = routes[request.url ?? '']
  if (route === undefined) return response.writeHead(404).end()
  route(request, response).catch((error: unknown) => {
    response.writeHead(isKeyturnError(error, 'ERR_TOKEN') ? 401 : 503).end(error instanceof Error ? error.message : '')
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(`port ${typeof address === 'object' ? address?.port : ''}.`)
})
process.once('SIGTERM', () => {
  server.close(async () => {
    await keyturn.close()
    await pool.end()
  })
  server.closeIdleConnections()
})
