import { type ReactNode, useEffect, useRef } from 'react'
import type { Leak, Remedy } from '../../leak.ts'
import { CommandLine } from '../../parts/command-line.tsx'
import { Row } from '../../parts/page.tsx'
import { Needs } from '../../session.tsx'
import { ActOf, type Doing } from './act.tsx'

/** What mends it, in order: each with what begins it here, or the command that does. */
export function RemediesRow({ leak: { mends, subject }, onDo }: { leak: Leak; onDo: (doing: Doing) => void }) {
  return (
    <Row title="What mends it" note="In this order.">
      <Kept of={mends}>
        {mends.length === 0 ? (
          <p className="text-soft">Nothing is left to be done that Keyturn knows of.</p>
        ) : (
          <>
            <Needs takes="operator" to="begin what mends it">
              {null}
            </Needs>
            <ol className="remedies" aria-label="What mends it, in this order">
              {mends.map((remedy) => (
                <li key={keyOf(remedy)}>
                  <p className="first-letter:uppercase">{remedy.why}.</p>
                  {remedy.act === null ? null : <ActOf act={remedy.act} alone={subject.kind === 'secret'} onDo={onDo} />}
                  {remedy.command === null ? null : <CommandLine command={remedy.command} />}
                </li>
              ))}
            </ol>
          </>
        )}
      </Kept>
    </Row>
  )
}

const keyOf = ({ command, why }: Remedy) => command ?? why

/** A remedy that is done goes, with the button that has the focus: then the list has it, so that the keyboard goes on from there. */
function Kept({ of, children }: { of: readonly Remedy[]; children: ReactNode }) {
  const place = useRef<HTMLDivElement>(null)
  const inside = useRef(false)
  useEffect(() => {
    const moved = ({ target }: FocusEvent) => {
      inside.current = target instanceof Node && place.current?.contains(target) === true
    }
    document.addEventListener('focusin', moved)
    return () => document.removeEventListener('focusin', moved)
  }, [])
  useEffect(() => {
    if (of && inside.current && document.activeElement === document.body) place.current?.focus({ preventScroll: true })
  }, [of])
  return (
    <div ref={place} tabIndex={-1}>
      {children}
    </div>
  )
}
