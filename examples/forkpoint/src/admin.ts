import type { Keyturn } from '@keyturn/core'
import { Router } from 'express'
import { encryptionStatus, rewrap } from './encryption.ts'

/** What an operator asks and does about the key: how many values need which key, and encrypting all of them again. */
export function encryptionAdmin(keyturn: Keyturn, stopping: AbortSignal): Router {
  const router = Router()

  router.get('/', async (_request, response) => {
    response.json(await encryptionStatus(keyturn))
  })

  // A line of JSON for each step, as it happens; the last one says what came of it. Who hangs up stops it, and so does the end of the process.
  router.post('/rewrap', async (request, response) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const tell = (line: object) => {
      if (!response.headersSent) response.type('application/x-ndjson')
      response.write(`${JSON.stringify(line)}\n`)
    }
    const perSecond = Number(request.query.rowsPerSecond)
    const { state, rotated, failed, failedCount } = await rewrap(keyturn, {
      signal: AbortSignal.any([stopping, gone.signal]),
      rowsPerSecond: perSecond >= 1 ? perSecond : undefined,
      onProgress: ({ phase, pass, rowsDone, rowsTotal, rotated, secondsLeft }) =>
        tell({ phase, pass, rowsDone, rowsTotal, rotated, secondsLeft }),
    })
    if (gone.signal.aborted) return
    const { remaining, unreadable } = await encryptionStatus(keyturn)
    tell({ state, rotated, remaining, unreadable, setAside: failedCount, failed })
    response.end()
  })

  return router
}
