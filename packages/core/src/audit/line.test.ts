import { expect, test } from 'vitest'
import { emptyHead, headText, type LoggedEvent, nextEvent } from './chain.ts'
import { eventLine, verifyLines } from './line.ts'

const events: LoggedEvent[] = []
for (let n = 1; n <= 6; n++) {
  const event = { actor: 'library', action: 'thing.change', subject: `thing/${n}`, data: { n, text: 'ä"\n' } }
  events.push(nextEvent(events.at(-1) ?? emptyHead, event, new Date(Date.UTC(2026, 0, 1, 0, 0, n))))
}
const lines = events.map(eventLine)
const [second, fourth] = [lines[1] as string, lines[3] as string]

test('an export checks without a database, line by line, and holds its head', async () => {
  for (const text of lines) expect(text).not.toContain('\n')
  expect(await verifyLines([...lines, ''], events[3])).toEqual({
    intact: true,
    events: 6,
    head: headText(events[5] as LoggedEvent),
    fault: null,
  })
})

test.each<[string, string[], number, string]>([
  ['a changed event', lines.with(1, second.replace('thing/2', 'thing/9')), 2, 'hash'],
  ['a removed event', lines.toSpliced(1, 1), 2, 'sequence'],
  ['an event that stands twice', lines.toSpliced(1, 0, second), 3, 'sequence'],
  ['two events exchanged', lines.with(1, fourth).with(3, second), 2, 'sequence'],
  ['another writing', lines.with(1, second.replace('":', '": ')), 2, 'hash'],
  ['a member that events do not have', lines.with(1, second.replace(/}$/, ',"zero":0}')), 2, 'hash'],
  ['a line that is no event', lines.with(1, 'null'), 2, 'hash'],
])('an export with %s is broken there', async (_, edited, seq, reason) => {
  expect(await verifyLines(edited)).toMatchObject({ intact: false, fault: { seq, reason } })
})

test('an export that was cut short is whole by itself, and not what was expected', async () => {
  expect(await verifyLines(lines.slice(0, 4))).toMatchObject({ intact: true, events: 4 })
  expect(await verifyLines(lines.slice(0, 4), events[5])).toMatchObject({ intact: false, fault: { seq: 6, reason: 'head' } })
})
