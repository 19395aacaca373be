import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { Lines } from './lines.ts'

test('a key that is typed in a terminal is not shown there, also when standard error goes into a file', async () => {
  const raw: boolean[] = []
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => raw.push(on) })
  const written: string[] = []
  const lines = new Lines({
    stdin,
    stdout: { write: (text) => written.push(text) },
    stderr: { write: (text) => written.push(text) },
    env: {},
    cwd: '.',
    isTTY: false,
    onInterrupt: () => () => {},
    exit: () => {},
  })
  const answer = lines.next('old key: ', { hidden: true })
  stdin.write('marked-secret\r')
  expect(await answer).toBe('marked-secret')
  lines.close()
  // The terminal was told to show nothing before anything was typed, and to go on as before afterwards.
  expect(raw).toEqual([true, false])
  expect(written.join('')).toContain('old key: ')
  expect(written.join('')).not.toContain('marked')
})
