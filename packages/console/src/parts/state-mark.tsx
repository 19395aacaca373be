import type { KeyState } from '../domain.ts'

const shapes: Record<KeyState, React.ReactNode> = {
  pending: <circle cx="7" cy="7" r="5" strokeDasharray="2.4 2.4" />,
  active: <circle cx="7" cy="7" r="5.5" fill="currentColor" />,
  retiring: (
    <>
      <circle cx="7" cy="7" r="5" />
      <path d="M7 2 A5 5 0 0 1 7 12 Z" fill="currentColor" />
    </>
  ),
  retired: <circle cx="7" cy="7" r="5" />,
  destroyed: <path d="M2.5 2.5 L11.5 11.5 M11.5 2.5 L2.5 11.5" />,
}
const inks: Record<KeyState, string> = {
  pending: 'text-pending-ink',
  active: 'text-active-ink',
  retiring: 'text-retiring-ink',
  retired: 'text-retired-ink',
  destroyed: 'text-soft',
}

/** The state of a key, as a shape, a colour and a word. */
export function StateMark({ state, compromised = false }: { state: KeyState; compromised?: boolean }) {
  return (
    <span className={`inline-flex items-center gap-1.5 whitespace-nowrap ${inks[state]}`}>
      <svg viewBox="0 0 14 14" width="13" height="13" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="1.75">
        {shapes[state]}
      </svg>
      {state}
      {compromised ? <strong className="font-semibold text-danger">, compromised</strong> : null}
    </span>
  )
}
