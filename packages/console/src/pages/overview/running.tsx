import type { UseQueryResult } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Rotation } from '../../domain.ts'
import { Progress } from '../../parts/bar.tsx'
import { Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import { count } from '../../words/numbers.ts'
import { isFinal, rotationStates, standing } from '../../words/states.ts'
import { lasting } from '../../words/times.ts'

/** Rotations that are not done. */
export function RunningRow({ rotations }: { rotations: UseQueryResult<readonly Rotation[]> }) {
  return (
    <Row title="Rotations running">
      <Loaded
        of={rotations}
        what="rotations"
        empty={{ when: (all) => all.every(isFinal), say: <Quiet latest={rotations.data?.[0] ?? null} /> }}
      >
        {(all) => (
          <ul className="space-y-6">
            {all
              .filter((rotation) => !isFinal(rotation))
              .map((rotation) => (
                <li key={rotation.id}>
                  <Running rotation={rotation} />
                </li>
              ))}
          </ul>
        )}
      </Loaded>
    </Row>
  )
}

function Running({ rotation }: { rotation: Rotation }) {
  const { id, keyring, state, rowsDone, rowsTotal, secondsLeft } = rotation
  return (
    <>
      <div className="mb-2 flex flex-wrap items-baseline justify-between gap-x-6">
        <h3>
          <Link to="/rotations/$id" params={{ id }} className="text-lead font-semibold">
            {keyring}
          </Link>
          <span className="ml-3 text-fine text-soft">
            {rotationStates[state].says}, started <When at={rotation.createdAt} />
          </span>
        </h3>
        <p className="text-fine text-soft">
          {rowsDone === null ? null : `${count(rowsDone)} of ${rowsTotal === null ? 'about ?' : count(rowsTotal)} rows`}
          {secondsLeft === null ? null : `, ${lasting(secondsLeft)} left`}
        </p>
      </div>
      <Progress label={`Rotation of ${keyring}`} done={rowsDone ?? 0} total={rowsTotal} tone={rotationStates[state].tone} />
      <p className="mt-2 text-fine text-soft">{standing(rotation)}</p>
    </>
  )
}

const Quiet = ({ latest }: { latest: Rotation | null }) => (
  <p className="text-soft">
    None.{' '}
    {latest === null ? (
      'Start the first one on the page of a keyring.'
    ) : (
      <>
        The latest, of{' '}
        <Link to="/rotations/$id" params={{ id: latest.id }}>
          {latest.keyring}
        </Link>
        , ended <When at={latest.endedAt} />.
      </>
    )}
  </p>
)
