import { fail } from '@keyturn/core'
import { type Call, print, say } from './call.ts'
import { exit, INTERRUPTED_TWICE } from './exit.ts'
import type { Options } from './options.ts'

type ServeOptions = Parameters<typeof import('@keyturn/server')['serve']>[0]
/** Where a server listens, and who stands before it. */
export type Listen = Pick<ServeOptions, 'port' | 'host' | 'trustProxy' | 'tls'>

/** What the flags say of it. @throws `ERR_USAGE` */
export function listenOptions({ port = '7300', host = '127.0.0.1', trustProxy, tlsCert, tlsKey }: Options): Listen {
  const number = Number(port)
  if (!Number.isInteger(number) || number < 0 || number > 65_535) throw fail('ERR_USAGE', '--port must be a number from 0 to 65535')
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw fail('ERR_USAGE', '--tls-cert and --tls-key go together')
  const tls = tlsCert === undefined || tlsKey === undefined ? {} : { tls: { cert: tlsCert, key: tlsKey } }
  return { port: number, host, ...(trustProxy === undefined ? {} : { trustProxy }), ...tls }
}

/**
 * Serves until the first Ctrl-C or SIGTERM: rotations finish their batch then and are left for the next server. A second one ends the
 * process at once; both leave every value readable.
 */
export async function serving(call: Call, options: ServeOptions): Promise<number> {
  const { io } = call
  const { buildConsole, findConsole, serve } = await import('@keyturn/server')
  if (findConsole() === null) {
    say(call, 'keyturn: building the console, once')
    if (!(await buildConsole())) say(call, 'warning: there is no console; the HTTP API is served without it')
  }
  let setup: string | null = null
  const interrupted = Promise.withResolvers<void>()
  let stopping = false
  const restore = io.onInterrupt(() => {
    if (stopping) return io.exit(INTERRUPTED_TWICE)
    stopping = true
    interrupted.resolve()
  })
  try {
    const server = await serve({
      ...options,
      countAtStart: true,
      logLevel: io.isTTY ? 'warn' : 'info',
      logTo: { write: (line) => void io.stderr.write(line) },
      onSetup: (path) => {
        setup = path
      },
    })
    call.attempted = true
    try {
      const link = setup === null ? null : `${server.url}${setup}`
      const first = link === null ? '' : `\nNobody can log in yet. This link, good for 24 hours, makes the first user:\n${link}`
      print(call, { url: server.url, setup: link }, `Keyturn listens at ${server.url}${first}`)
      await interrupted.promise
      say(call, '\nkeyturn: finishing what runs. The next server goes on with it. Once more ends at once')
    } finally {
      await server.close()
    }
    return exit.done
  } finally {
    restore()
  }
}
