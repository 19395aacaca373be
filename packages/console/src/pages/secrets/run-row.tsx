import { useRef } from 'react'
import type { Connection } from '../../api/live.ts'
import { Connected } from '../../parts/connected.tsx'
import { Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import type { Run } from '../../secret.ts'
import { isOver, runStanding, runStates, stepSays } from '../../words/secrets.ts'
import { RunActions } from './actions.tsx'
import { AsksForm } from './asks.tsx'
import { useLiveRun } from './live.ts'
import { Steps } from './steps.tsx'
import { TaskForm } from './task.tsx'

/** One run of a secret, live: how it stands, what it wants of somebody, and its steps. */
export function RunRow({ id }: { id: string }) {
  const { found, connection } = useLiveRun(id)
  return (
    <Loaded of={found} what="run">
      {(run) => <Ready run={run} connection={connection} />}
    </Loaded>
  )
}

function Ready({ run, connection }: { run: Run; connection: Connection }) {
  const { state, startedBy, createdAt, endedAt, wakeAt, task } = run
  return (
    <>
      <Announced run={run} />
      {task === null ? null : (
        <Row
          title="A person is needed"
          note={
            run.step === 'task' ? 'Until it is done, the old credential stays in use.' : 'Until it is done, the old credential still works.'
          }
        >
          <TaskForm run={run} task={task} />
        </Row>
      )}
      {run.asks.length === 0 ? null : (
        <Row title="Whose are these?" note="They appeared at the issuer while nobody could look.">
          <AsksForm key={run.asks.join()} run={run} />
        </Row>
      )}
      <Row
        title={run.kind === 'sync' ? 'Bringing in line' : isOver(run) ? 'A rotation' : 'The rotation now'}
        note={
          <>
            begun <When at={createdAt} /> by {startedBy}
            {endedAt === null ? null : (
              <>
                , over <When at={endedAt} />
              </>
            )}
          </>
        }
      >
        <div className="mb-4 flex flex-wrap items-baseline justify-between gap-x-8 gap-y-2">
          <p>
            <strong className="font-semibold">{runStates[state].says}.</strong> {runStanding(run)}
            {wakeAt === null || state !== 'waiting' ? null : (
              <span className="text-soft">
                {' '}
                It goes on <When at={wakeAt} />.
              </span>
            )}
          </p>
          <Connected is={connection} />
        </div>
        <div className="mb-6 empty:hidden">
          <RunActions run={run} />
        </div>
        <Steps run={run} />
        <p className="mt-4 text-fine text-soft">
          <code>{run.id}</code>
        </p>
      </Row>
    </>
  )
}

/** What screen readers are told: each change of state and of the step. */
function Announced({ run: { secret, state, step } }: { run: Run }) {
  const said = useRef({ key: '', text: '' })
  const key = `${state} ${step}`
  if (said.current.key !== key)
    said.current = { key, text: `Rotation of ${secret}: ${runStates[state].says}. ${step === null ? '' : stepSays(step)}` }
  return (
    <p role="status" aria-live="polite" className="sr-only">
      {said.current.text}
    </p>
  )
}
