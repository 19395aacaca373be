import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { canonicalJson } from './canonical.ts'
import { canonicalEvent, emptyHead, type LoggedEvent, nextEvent, verifyChain } from './chain.ts'

interface Vectors {
  readonly prefix: string
  readonly valid: { event: LoggedEvent; previous: string; canonical: string; canonicalHex: string; hash: string }[]
  readonly invalid: { why: string; data: string }[]
}
const vectors: Vectors = JSON.parse(readFileSync(new URL('../../../../spec/vectors/audit.json', import.meta.url), 'utf8'))
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function chain(length: number): LoggedEvent[] {
  const events: LoggedEvent[] = []
  for (let n = 1; n <= length; n++) {
    const event = { actor: 'library', action: 'thing.change', subject: `thing/${n}`, data: { n } }
    events.push(nextEvent(events.at(-1) ?? emptyHead, event, new Date(Date.UTC(2026, 0, 1, 0, 0, n))))
  }
  return events
}

describe('the vectors of spec/audit.md', () => {
  test('canonical bytes and hashes are those of the vectors', () => {
    let head = emptyHead
    for (const { event, previous, canonical, canonicalHex, hash } of vectors.valid) {
      expect(canonicalEvent(event)).toBe(canonical)
      expect(Buffer.from(canonicalEvent(event)).toString('hex')).toBe(canonicalHex)
      const next = nextEvent(head, event, new Date(event.at))
      expect(hex(next.previous)).toBe(previous)
      expect(hex(next.hash)).toBe(hash)
      head = next
    }
    expect(head.seq).toBe(3)
  })

  test.each(vectors.invalid)('an event with $why is refused', ({ data }) => {
    const event = { actor: 'a', action: 'b.c', subject: 'd', data: JSON.parse(data) }
    expect(() => nextEvent(emptyHead, event, new Date())).toThrow(/ERR_USAGE|audit event/)
  })
})

test('what is no JSON of ours is refused', () => {
  for (const value of [undefined, new Date(), 1n, () => 1, Number.NaN, { a: undefined }, [undefined], new Map()]) {
    expect(() => canonicalJson(value)).toThrow('an audit event cannot hold')
  }
  expect(canonicalJson(-0)).toBe('0')
})

test('a refused event does not print what it held', () => {
  expect(() => canonicalJson({ s: 'marked\ud800' })).toThrow(/^(?!.*marked)/)
})

describe('a chain', () => {
  test('that is as it was written is intact, from its beginning and from a known head', () => {
    const events = chain(5)
    expect(verifyChain(events)).toEqual({ intact: true, head: { seq: 5, hash: events[4]!.hash } })
    expect(verifyChain(events.slice(2), events[1])).toMatchObject({ intact: true })
    expect(verifyChain([])).toEqual({ intact: true, head: emptyHead })
  })

  const changes: Record<string, (events: LoggedEvent[]) => void> = {
    'an actor changed': (events) => Object.assign(events[2]!, { actor: 'somebody' }),
    'a fact changed': (events) => Object.assign(events[2]!, { data: { n: 4 } }),
    'a time changed': (events) => Object.assign(events[2]!, { at: '2026-01-01T00:00:03.001Z' }),
    'a time with more digits': (events) => Object.assign(events[2]!, { at: '2026-01-01T00:00:03.000001Z' }),
    'a hash changed': (events) => Object.assign(events[2]!, { hash: new Uint8Array(32) }),
    'an event removed': (events) => events.splice(2, 1),
    'two events exchanged': (events) => events.splice(2, 2, events[3]!, events[2]!),
    'an event inserted': (events) => events.splice(2, 0, events[1]!),
    'an event written anew with its hash': (events) => {
      const { seq, hash } = events[1]!
      events[2] = nextEvent({ seq, hash }, { ...events[2]!, actor: 'forger' }, new Date())
    },
  }
  test.each(Object.entries(changes))('with %s is broken there', (_, change) => {
    const events = chain(5)
    change(events)
    const report = verifyChain(events)
    expect(report.intact).toBe(false)
    expect(report).toHaveProperty('seq', _.includes('anew') ? 4 : 3)
  })
})
