import { Turning } from '../../parts/button.tsx'
import { When } from '../../parts/when.tsx'
import type { Run, RunStep } from '../../secret.ts'
import { isOver, stepSays } from '../../words/secrets.ts'

/** The steps of a run in their order: what was done, with its evidence; what goes on; what comes. */
export function Steps({ run }: { run: Run }) {
  const first = run.steps.findIndex(({ direction }) => direction === 'back')
  return (
    <ol className="steps" aria-label={`Steps of the rotation of ${run.secret}`}>
      {run.steps.map((step, n) => (
        <li key={step.number} data-state={step.state} aria-current={isAt(run, step) ? 'step' : undefined}>
          {n === first ? <p className="pb-1 text-fine font-semibold text-retiring-ink">From here it goes back.</p> : null}
          <Step run={run} step={step} />
        </li>
      ))}
    </ol>
  )
}

const isAt = (run: Run, { state, step }: RunStep): boolean => !isOver(run) && state === 'begun' && step === run.step

const says: Record<RunStep['state'], string> = { later: 'not yet', begun: 'now', done: 'done', failed: 'failed', skipped: 'not needed' }

function Step({ run, step }: { run: Run; step: RunStep }) {
  const { state, tries, begunAt, endedAt, evidence, problem } = step
  const facts = Object.entries(evidence).filter(([, value]) => value !== null && value !== '')
  return (
    <>
      <div className="flex flex-wrap items-baseline justify-between gap-x-6">
        <span className={isAt(run, step) ? 'font-semibold' : state === 'later' ? 'text-soft' : ''}>{stepSays(step.step)}</span>
        <span className={`flex items-center gap-2 text-fine ${state === 'failed' ? 'font-semibold text-danger' : 'text-soft'}`}>
          {isAt(run, step) && run.state === 'running' ? <Turning /> : null}
          {state === 'begun' && isOver(run) ? 'not done' : says[state]}
          {tries > 1 ? `, ${tries} tries` : ''}
          {(endedAt ?? begunAt) === null ? null : <When at={endedAt ?? begunAt} />}
        </span>
      </div>
      {problem === null ? null : <p className="text-fine text-danger first-letter:uppercase">{problem}</p>}
      {facts.length === 0 ? null : (
        <dl className="evidence" aria-label={`Evidence of: ${stepSays(step.step)}`}>
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{String(value)}</dd>
            </div>
          ))}
        </dl>
      )}
    </>
  )
}
