import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { runDemo } from './main.ts'

function ioOf() {
  const text = { out: '', err: '' }
  const io = {
    stdout: { write: (part: string) => (text.out += part) },
    stderr: { write: (part: string) => (text.err += part) },
    stdin: new PassThrough(),
    env: {},
    cwd: process.cwd(),
    isTTY: false,
    onInterrupt: () => () => {},
    exit: () => {},
  }
  return { io, text }
}

test('The demo ends with one line of JSON that counts no lost update and no unreadable value.', async () => {
  const { io, text } = ioOf()
  expect(await runDemo({ rows: 2_000, json: true, io })).toBe(0)
  expect(text.out.trimEnd().split('\n')).toHaveLength(1)
  const result = JSON.parse(text.out)
  expect(Object.keys(result)).toEqual(['total', 'rotated', 'skipped', 'failed', 'failedCount', 'conflicts', 'lostUpdates', 'unreadable'])
  expect(result).toMatchObject({ total: 2_000, failedCount: 12, lostUpdates: 0, unreadable: 0 })
  expect(result.rotated + result.skipped + result.failedCount).toBe(result.total)
  expect(result.failed).toHaveLength(12)
})

test('The demo shows the plan, the values set aside, the refusal to retire, the retirement, its certificate and what to do next.', async () => {
  const { io, text } = ioOf()
  expect(await runDemo({ rows: 1_000, json: false, io })).toBe(0)
  for (const part of [
    '$ keyturn plan app',
    'rows re-encrypted across 4 tables',
    'ERR_DECRYPT',
    '$ keyturn verify',
    'keyturn: keyring "app": 3 values set aside name the key versions to be retired.',
    '--accept-set-aside 3 --yes',
    'is retired: the database refuses it and has checked every row.',
    'A process with an old key writes a value under it: the database refuses it.',
    'The signature is good',
    'Not complete: 3 values set aside.',
    '0 updates lost, 0 values unreadable',
    'What to do next',
  ]) {
    expect(text.out).toContain(part)
  }
  for (const line of text.out.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
})
