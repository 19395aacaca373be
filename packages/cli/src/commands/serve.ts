import { fail } from '@keyturn/core'
import type { Call } from '../call.ts'
import { client } from '../database.ts'
import { listenOptions, serving } from '../serving.ts'
import { withSession } from '../session.ts'
import { demoRows } from './demo.ts'

/** A rotation takes two connections; the rest is for who asks and for the jobs. */
const connections = 12

/** Serves the console and the HTTP API until it is interrupted. */
export default async function serve(call: Call): Promise<number> {
  const { options } = call
  const listen = listenOptions(options)
  // Before anything is opened, and made.
  ;(await import('@keyturn/server')).assertProtected(listen)
  if (options.demo) return (await import('../demo/served.ts')).serveDemo(call, demoRows(options))
  if (options.rows !== undefined) throw fail('ERR_USAGE', '--rows goes with --demo')
  return await withSession(call, 'values', ({ write }) =>
    write(async ({ keyturn, database }) => {
      if ('pglite' in database && !options.embedded)
        throw fail(
          'ERR_USAGE',
          'an embedded database has one process: the command cannot look at it while it is served. Give --embedded to serve it',
        )
      if ('pool' in database) database.pool.options.max = connections
      return await serving(call, { ...listen, ...client(database), keyturn })
    }),
  )
}
