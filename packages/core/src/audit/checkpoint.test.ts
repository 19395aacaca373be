import { describe, expect, test } from 'vitest'
import { fail, isKeyturnError } from '../errors.ts'
import { signingKey } from '../signing/signing-key.ts'
import { canonicalJson } from './canonical.ts'
import {
  announce,
  type Checkpoints,
  checkCheckpoint,
  checkpointLine,
  expectedHead,
  makeCheckpoint,
  parseCheckpoint,
  sendCheckpoint,
} from './checkpoint.ts'
import type { AuditEvent } from './event.ts'

const key = signingKey('11'.repeat(32), 'KEY')
const standing = { head: `7:${'ab'.repeat(32)}`, at: '2026-11-21T10:00:00.000Z' }
const signed = makeCheckpoint(standing, key)
const line = checkpointLine(signed)

function outcome(work: () => unknown): string {
  try {
    work()
    return 'accepted'
  } catch (error) {
    return isKeyturnError(error) ? error.code : String(error)
  }
}

test('a checkpoint is one line, checks under its public key, and names the head that it expects', () => {
  expect(line).not.toContain('\n')
  for (const by of [key.publicKey.text, key.publicKey.pem]) expect(checkCheckpoint(`${line}\n`, by)).toEqual(signed)
  expect(expectedHead(line, null)).toEqual({ seq: 7, hash: new Uint8Array(32).fill(0xab) })
  expect(expectedHead(`${line}\n`, key).seq).toBe(7)
  expect(expectedHead(standing.head, key).seq).toBe(7)
})

test('an unsigned checkpoint can be expected and does not check', () => {
  const unsigned = checkpointLine(makeCheckpoint(standing, null))
  expect(expectedHead(unsigned, key).seq).toBe(7)
  expect(outcome(() => checkCheckpoint(unsigned, key.publicKey.text))).toBe('ERR_CERTIFICATE')
})

test('an edited checkpoint is refused: every character', () => {
  for (let at = 0; at < line.length; at++) {
    const edited = line.slice(0, at) + String.fromCharCode(line.charCodeAt(at) ^ 1) + line.slice(at + 1)
    expect([at, outcome(() => checkCheckpoint(edited, key.publicKey.text))]).toEqual([at, 'ERR_CERTIFICATE'])
  }
})

test.each([
  ['another writing', line.replace('":', '": ')],
  ['an extra member', line.replace(/}$/, ',"zero":0}')],
  ['a member twice', line.replace('"at"', '"at":"2026-11-21T10:00:00.000Z","at"')],
  ['half a signature', canonicalJson({ ...signed, signer: null })],
  ['a head without a hash', canonicalJson({ ...signed, head: '7' })],
  ['a time of another form', canonicalJson({ ...signed, at: '2026-11-21' })],
  ['another format', line.replace('checkpoint/1', 'checkpoint/2')],
  ['a list', '[]'],
  ['nothing', ''],
])('%s is no checkpoint', (_, text) => {
  expect(outcome(() => parseCheckpoint(text))).toBe('ERR_CERTIFICATE')
})

test('a checkpoint that names our key and was not signed by it is not expected', () => {
  const forged = checkpointLine({ ...signed, head: `8:${'cd'.repeat(32)}` })
  expect(outcome(() => expectedHead(forged, key))).toBe('ERR_CERTIFICATE')
  const certificate = checkpointLine({ ...signed, signature: key.sign('certificate', canonicalJson(standing)) })
  expect(outcome(() => checkCheckpoint(certificate, key.publicKey.text))).toBe('ERR_CERTIFICATE')
})

test.each(['', '7', 'x:y', `7:${'AB'.repeat(32)}`, `07:${'ab'.repeat(32)}`, `9999999999999999:${'ab'.repeat(32)}`])(
  'what is neither a head nor a checkpoint is refused: %j',
  (text) => {
    expect(outcome(() => expectedHead(text, null))).toBe('ERR_USAGE')
  },
)

describe('a sink', () => {
  const world = (sink: Checkpoints['sink'], head = async () => standing) => {
    const events: AuditEvent[] = []
    const log = { head, record: async (event: AuditEvent) => void events.push(event) }
    return { events, from: { signer: key, sink, actor: 'test', log } satisfies Checkpoints }
  }

  test('is told the line', async () => {
    const lines: string[] = []
    const { from, events } = world((text) => lines.push(text))
    expect(await sendCheckpoint(from)).toEqual(signed)
    expect([lines, events]).toEqual([[line], []])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('postgres://user:marked@host')
      },
    ],
    ['rejects', () => Promise.reject(new Error('marked'))],
  ])('that %s fails nothing and is an event without its message', async (_, sink) => {
    const { from, events } = world(sink)
    expect(await sendCheckpoint(from)).toEqual(signed)
    expect(events).toEqual([{ actor: 'test', action: 'checkpoint.fail', subject: 'audit', data: { head: standing.head } }])
  })

  test('is told nothing when the log was changed by hand, and nobody is stopped by it', async () => {
    const lines: string[] = []
    const { from, events } = world(
      (text) => lines.push(text),
      () => Promise.reject(fail('ERR_AUDIT', '3')),
    )
    await announce(from)
    expect([lines, events.map(({ data }) => data)]).toEqual([[], [{ code: 'ERR_AUDIT' }]])
    await expect(sendCheckpoint(from)).rejects.toThrow('event 3')
  })
})
