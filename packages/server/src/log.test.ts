import { expect, test } from 'vitest'
import { serverLog } from './log.ts'

test('What is secret stands in no line of the log, at the top, in a request and one level down.', () => {
  const lines: string[] = []
  const log = serverLog('info', { write: (line) => void lines.push(line) })
  const marked = 'marked-secret'
  log.info({ password: marked, authorization: marked, secret: marked, token: marked, cookie: marked, 'set-cookie': marked }, 'top')
  log.info({ body: { password: marked, secret: marked, token: marked } }, 'nested')
  log.info(
    { req: { method: 'GET', url: `/v1/x?token=${marked}`, host: 'a', ip: 'b', headers: { authorization: marked, cookie: marked } } },
    'request',
  )
  expect(lines).toHaveLength(3)
  expect(lines.join('')).not.toContain(marked)
})
