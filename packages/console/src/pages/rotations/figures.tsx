import type { Rotation } from '../../domain.ts'
import { Figure, Figures } from '../../parts/page.tsx'
import { count } from '../../words/numbers.ts'
import { isFinal } from '../../words/states.ts'
import { lasting } from '../../words/times.ts'

/** The numbers of a rotation. */
export function RotationFigures({ rotation }: { rotation: Rotation }) {
  const { rotated, rowsPerSecond, secondsLeft, conflicts, setAside, createdAt, endedAt } = rotation
  return (
    <Figures>
      <Figure label="Values rewritten" note={rowsNote(rotation)}>
        {count(rotated)}
      </Figure>
      {isFinal(rotation) ? (
        <Figure label="Took" note="from start to end">
          {endedAt === null ? 'unknown' : lasting((endedAt.getTime() - createdAt.getTime()) / 1000)}
        </Figure>
      ) : (
        <>
          <Figure label="Rows a second" note="of the last seconds">
            {rowsPerSecond === null ? '–' : count(Math.round(rowsPerSecond))}
          </Figure>
          <Figure label="Time left" note="at this rate">
            {secondsLeft === null ? '–' : lasting(secondsLeft)}
          </Figure>
        </>
      )}
      <Figure label="Conflicts" note="changed meanwhile; they came again">
        {count(conflicts)}
      </Figure>
      <Figure label="Set aside" note="do not open, and stay as they are">
        <span className={setAside > 0 ? 'text-danger' : ''}>{count(setAside)}</span>
      </Figure>
    </Figures>
  )
}

function rowsNote({ rowsDone, rowsTotal }: Rotation): string {
  if (rowsDone === null) return 'each of them once'
  return `in ${count(rowsDone)} of ${rowsTotal === null ? 'an unknown number of' : `about ${count(rowsTotal)}`} rows`
}
