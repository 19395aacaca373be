import { fail } from '@keyturn/core'
import type { Call } from '../call.ts'

/** Rotates the keys of an example application in a database of its own. */
export default async function demo(call: Call): Promise<number> {
  const { options, io } = call
  const rows = demoRows(options)
  if (options.serve) return (await import('../demo/served.ts')).serveDemo(call, rows)
  if (options.port !== undefined) throw fail('ERR_USAGE', '--port goes with --serve')
  const { runDemo } = await import('../demo/main.ts')
  return runDemo({ rows, json: options.json === true, io })
}

/** How many values the example application has. @throws `ERR_USAGE` */
export function demoRows({ rows = '20000' }: Call['options']): number {
  const count = Number(rows)
  if (!Number.isSafeInteger(count) || count < 1) throw fail('ERR_USAGE', '--rows must be a whole number from 1')
  return count
}
