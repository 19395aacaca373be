import { readFile } from 'node:fs/promises'
import { type AddressInfo, isIP } from 'node:net'
import { fail } from '@keyturn/core'
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Client } from './jobs/jobs.ts'
import { serverLog } from './log.ts'
import { sendProblem } from './mount.ts'
import { keyturnServer, type ServerOptions, type ServerSettings } from './plugin.ts'

/** What a server of its own is started with. */
export type ServeOptions = Client & Omit<ServerSettings, 'prefix' | 'secure'> & Listening

/** Where it listens, and who stands before it. */
interface Listening {
  readonly port: number
  readonly host: string
  /** Addresses of proxies with TLS before it: what they say of the client is believed. */
  readonly trustProxy?: string | undefined
  /** Files with a certificate and its key, both in PEM. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  readonly logLevel?: string
  /** Where the log goes, a line of JSON each; standard output unless given. */
  readonly logTo?: { write(line: string): void }
}

/**
 * Serves the admin API and the console by itself.
 *
 * @returns where it listens, and what closes it: rotations finish their batch and are left for the next server
 * @throws `ERR_PUBLIC_ADDRESS` where others could reach it without encryption
 */
export async function serve(
  options: ServeOptions,
): Promise<{ readonly url: string; readonly app: FastifyInstance; close(): Promise<void> }> {
  const { port, host, trustProxy, tls, logLevel = 'info', logTo, ...rest } = options
  assertProtected(options)
  const app = fastify({
    loggerInstance: serverLog(logLevel, logTo),
    trustProxy: trustProxy === undefined ? false : trustProxy.split(',').map((address) => address.trim()),
    routerOptions: { maxParamLength: 256 },
    // A client that sends slowly, or nothing, is not waited for: neither for its headers (below) nor for the rest.
    requestTimeout: 30_000,
    connectionTimeout: 0,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
    ...(tls === undefined ? { http: patience } : { https: { ...patience, cert: await readPem(tls.cert), key: await readPem(tls.key) } }),
  } as FastifyServerOptions) as FastifyInstance
  app.setNotFoundHandler((request, reply) => sendProblem(fail('ERR_NOT_FOUND', `${request.method} at this path`), request, reply))
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  try {
    await app.register(keyturnServer, { ...rest, secure: tls !== undefined || trustProxy !== undefined } as ServerOptions)
    await app.listen({ port, host })
  } catch (error) {
    await app.close()
    throw error
  }
  const { address, port: bound, family } = app.server.address() as AddressInfo
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    app,
    close: () => app.close(),
  }
}

/** @throws `ERR_PUBLIC_ADDRESS` where others could reach a server that listens so, and nothing encrypts what they say */
export function assertProtected({ host, tls, trustProxy }: Pick<ServeOptions, 'host' | 'tls' | 'trustProxy'>): void {
  if (!isLoopback(host) && tls === undefined && trustProxy === undefined) throw fail('ERR_PUBLIC_ADDRESS', host)
}

/** For the headers of a request; and how often it is looked for who takes longer. */
const patience = { headersTimeout: 10_000, connectionsCheckingInterval: 2_000 }

/** Whether only this machine reaches an address. */
function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1') return true
  return isIP(host) === 4 && host.startsWith('127.')
}

async function readPem(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => {
    throw fail('ERR_USAGE', `the file ${path} cannot be read`)
  })
}
