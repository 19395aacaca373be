import { canonicalJson } from './canonical.ts'
import { emptyHead, type Head, headText, type LoggedEvent, sameHead, verifyChain } from './chain.ts'
import type { AuditReport } from './verification.ts'

/** An event as a line of an export, without its line break: canonical JSON, the hashes in hexadecimal. `spec/audit.md` */
export function eventLine(event: LoggedEvent): string {
  const { seq, at, actor, action, subject, data, previous, hash } = event
  return canonicalJson({ seq, at, actor, action, subject, data, previous: hex(previous), hash: hex(hash) })
}

/**
 * Checks an exported log without a database, line by line. Empty lines are passed over.
 *
 * @param expect - a head obtained elsewhere: the export must hold it
 */
export async function verifyLines(lines: Iterable<string> | AsyncIterable<string>, expect: Head | null = null): Promise<AuditReport> {
  let head = emptyHead
  let held = expect === null || sameHead(expect, emptyHead)
  const report = (fault: AuditReport['fault']): AuditReport => ({ intact: fault === null, events: head.seq, head: headText(head), fault })
  for await (const line of lines) {
    if (line === '') continue
    const event = parse(line)
    if (event === null) return report({ seq: head.seq + 1, reason: 'hash' })
    const checked = verifyChain([event], head)
    if (!checked.intact) return report({ seq: checked.seq, reason: checked.reason })
    head = checked.head
    held ||= expect !== null && sameHead(head, expect)
  }
  return report(held || expect === null ? null : { seq: expect.seq, reason: 'head' })
}

function parse(line: string): LoggedEvent | null {
  try {
    const found = JSON.parse(line)
    const event = { ...found, previous: bytes(found.previous), hash: bytes(found.hash) }
    // Another writing, or a member that events do not have.
    return eventLine(event) === line ? event : null
  } catch {
    return null
  }
}

const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const bytes = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), 'hex'))
