import type { KeyState } from '../../domain.ts'
import { Swatch } from '../../parts/bar.tsx'
import { Row } from '../../parts/page.tsx'
import { StateMark } from '../../parts/state-mark.tsx'
import { keyStates } from '../../words/states.ts'

/** What the states mean, beside the patterns that stand for them. */
export const StatesRow = () => (
  <Row title="What the states mean">
    <dl className="grid gap-x-8 gap-y-3 broad:grid-cols-2">
      {Object.entries(keyStates).map(([state, { means }]) => (
        <div key={state} className="flex gap-3">
          <dt className="flex w-32 shrink-0 items-center gap-2 self-start">
            <Swatch tone={state} />
            <StateMark state={state as KeyState} />
          </dt>
          <dd className="text-soft">{means}</dd>
        </div>
      ))}
    </dl>
  </Row>
)
