import { useRef } from 'react'
import type { Rotation } from '../../domain.ts'
import { Progress } from '../../parts/bar.tsx'
import { count, percent } from '../../words/numbers.ts'
import { isFinal, rotationStates, rotationSteps, stepOf } from '../../words/states.ts'

/** Where it is among its steps. */
export function Steps({ rotation }: { rotation: Rotation }) {
  const at = stepOf(rotation)
  const stopped = rotation.state === 'cancelled' || rotation.state === 'failed'
  return (
    <ol className="mb-6 grid gap-x-1 gap-y-2 wide:grid-cols-4" aria-label="Steps">
      {rotationSteps.map((step, n) => {
        const is = n < at ? 'done' : n === at && !stopped ? 'now' : 'later'
        return (
          <li key={step} aria-current={is === 'now' ? 'step' : undefined} className={`border-t-4 pt-2 ${stepInk[is]}`}>
            <span className={is === 'now' ? 'font-semibold' : ''}>{step}</span>
            <span className="block text-fine text-soft">{stepSays[is]}</span>
          </li>
        )
      })}
    </ol>
  )
}
const stepInk = { done: 'border-active', now: 'border-ink', later: 'border-line text-soft' }
const stepSays = { done: 'done', now: 'now', later: 'not yet' }

/** A bar for each table. */
export function Tables({ rotation }: { rotation: Rotation }) {
  const { tables, state } = rotation
  if (tables.length === 0) return <p className="text-soft">Its tables are shown once the first batch is written.</p>
  return (
    <ul className="space-y-3">
      {tables.map(({ name, rowsDone, rowsTotal }) => (
        <li key={name}>
          <div className="mb-1 flex flex-wrap justify-between gap-x-6">
            <span className="mono">{name}</span>
            <span className="text-fine text-soft">
              {count(rowsDone)}{' '}
              {rowsTotal === null ? 'rows' : `of ${count(rowsTotal)} rows, ${percent(Math.min(rowsDone, rowsTotal), rowsTotal)}`}
            </span>
          </div>
          <Progress label={name} done={rowsDone} total={rowsTotal} tone={rotationStates[state].tone} thin />
        </li>
      ))}
    </ul>
  )
}

/** What screen readers are told: each change of state, and each tenth of the way, not every batch. */
export function Announced({ rotation }: { rotation: Rotation }) {
  const { state, rowsDone, rowsTotal, keyring, rotated, setAside } = rotation
  const tenth = rowsDone === null || rowsTotal === null || rowsTotal === 0 ? 0 : Math.min(10, Math.floor((rowsDone / rowsTotal) * 10))
  const said = useRef({ key: '', text: '' })
  const key = `${state} ${tenth}`
  if (said.current.key !== key) {
    const done = isFinal(rotation)
      ? `${count(rotated)} values rewritten, ${count(setAside)} set aside.`
      : `${tenth * 10} percent of the rows.`
    said.current = { key, text: `Rotation of ${keyring}: ${rotationStates[state].says}. ${done}` }
  }
  return (
    <p role="status" aria-live="polite" className="sr-only">
      {said.current.text}
    </p>
  )
}
