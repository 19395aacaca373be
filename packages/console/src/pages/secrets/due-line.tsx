import { Link } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { Button } from '../../parts/button.tsx'
import { When } from '../../parts/when.tsx'
import type { Secret } from '../../secret.ts'
import { byDue } from '../../words/secrets.ts'
import { dayOf } from '../../words/times.ts'

const dayMs = 86_400_000
/** How many stand on the line at first: the inventory below holds them all. */
const first = 20

/** Secrets on one line of time each, the overdue first: how long the credential has been in use, and until when it may be. */
export function DueLine({ secrets }: { secrets: readonly Secret[] }) {
  const now = Date.now()
  const [whole, setWhole] = useState(false)
  const list = useRef<HTMLOListElement>(null)
  useEffect(() => {
    // The button that showed them is gone: the keyboard goes on at the first of them.
    if (whole) list.current?.children[first]?.querySelector('a')?.focus({ preventScroll: true })
  }, [whole])
  const dated = secrets.filter(({ dueAt }) => dueAt !== null).sort(byDue)
  if (dated.length === 0) return <p className="text-soft">No secret has an interval: nothing is ever due.</p>
  const times = dated.flatMap(({ since, dueAt }) => [since?.getTime() ?? now, dueAt?.getTime() ?? now])
  const from = Math.min(now - dayMs, ...times)
  const to = Math.max(now + dayMs, ...times)
  const at = (time: number) => ((time - from) / (to - from)) * 100
  return (
    <div>
      <div className="axis" aria-hidden="true">
        <span>{dayOf(new Date(from))}</span>
        <span data-now="true" style={{ left: `${at(now)}%` }}>
          now
        </span>
        <span data-end="true">{dayOf(new Date(to))}</span>
      </div>
      <ol ref={list} aria-label="Secrets by when they are due">
        {dated.slice(0, whole ? dated.length : first).map((secret) => (
          <li key={secret.name} className="pt-3">
            <div className="flex flex-wrap items-baseline justify-between gap-x-6">
              <Link to="/secrets/$name" params={{ name: secret.name }} className="font-medium">
                {secret.name}
              </Link>
              <span className="text-fine">
                <Due secret={secret} />
              </span>
            </div>
            <div className="track mt-1" aria-hidden="true">
              <Fills secret={secret} now={now} at={at} />
              <div className="now" style={{ left: `${at(now)}%` }} />
            </div>
          </li>
        ))}
      </ol>
      {whole || dated.length <= first ? null : (
        <p className="pt-4">
          <Button onClick={() => setWhole(true)}>Show all {dated.length}</Button>
        </p>
      )}
    </div>
  )
}

function Fills({ secret: { since, dueAt }, now, at }: { secret: Secret; now: number; at: (time: number) => number }) {
  const due = dueAt?.getTime() ?? now
  const begun = since?.getTime() ?? due
  const fills = [
    ['active', begun, Math.min(now, due)],
    ['pending', Math.max(begun, Math.min(now, due)), due],
    ['unreadable', due, now],
  ] as const
  return fills
    .filter(([, from, to]) => to > from)
    .map(([tone, from, to]) => (
      <div key={tone} className="fill" data-tone={tone} style={{ left: `${at(from)}%`, width: `${at(to) - at(from)}%` }} />
    ))
}

/** When it is due, in words. */
export const Due = ({ secret: { dueAt, overdue, since } }: { secret: Secret }) =>
  overdue ? (
    <strong className="font-semibold text-danger">overdue, {since === null ? 'never rotated here' : <When at={dueAt} />}</strong>
  ) : (
    <When at={dueAt} never="no date" />
  )
