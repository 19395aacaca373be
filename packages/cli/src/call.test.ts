import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { type Call, print, say } from './call.ts'
import { failedList } from './screens/rotation.ts'

test('what the database names rows with does not command the terminal', () => {
  const written: string[] = []
  const output = { write: (text: string) => written.push(text) }
  const io = { stdout: output, stderr: output, stdin: Readable.from([]), env: {}, cwd: '.', isTTY: true }
  const call: Call = {
    verb: { name: 'verify', arguments: [] },
    args: [],
    options: {},
    io: { ...io, onInterrupt: () => () => {}, exit: () => {} },
    attempted: false,
    labels: new Map(),
  }
  const row = { slug: 'a\u001b]0;owned\u0007\u001b[2J\u009b1A\r\u202e' }
  const words = failedList([{ field: 'users.token', row, reason: 'ERR_DECRYPT' }], 1).join('\n')
  print(call, {}, words)
  say(call, words)
  expect(written).toHaveLength(2)
  for (const text of written) {
    expect(text).toContain('slug=a\\u001b]0;owned\\u0007\\u001b[2J\\u009b1A\\u000d\\u202e  ERR_DECRYPT\n')
    expect(text).not.toMatch(/[^\P{Cc}\n\t]|\u202e/u)
  }
  written.length = 0
  print({ ...call, options: { json: true } }, { row }, words)
  expect(written.join('')).not.toMatch(/[^\P{Cc}\n]|\u202e/u)
  expect(JSON.parse(written.join(''))).toEqual({ row })
})
