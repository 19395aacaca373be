import type { ReactNode } from 'react'
import type { Plan } from '../../domain.ts'
import { bytes, count, counted } from '../../words/numbers.ts'
import { lasting } from '../../words/times.ts'

/** A plan in words: how much, how long, what is made, in which steps, and what one should know. */
export function PlanView({ plan }: { plan: Plan }) {
  const { values, seconds, tables, creates, steps, warnings, alsoUsedFor, mustAccept } = plan
  return (
    <div className="space-y-4">
      <p className="text-lead">
        About <strong className="font-semibold">{counted(values, 'value')}</strong> in {counted(tables.length, 'table')}, about{' '}
        <strong className="font-semibold">{lasting(seconds)}</strong>.
      </p>
      <Part title="Rows">
        {tables.map(({ table, rows, bytes: size }) => (
          <li key={table} className="flex flex-wrap justify-between gap-x-4">
            <span className="mono">{table}</span>
            <span className="text-soft">
              {count(rows)} rows, {bytes(size)}
            </span>
          </li>
        ))}
      </Part>
      <Part title="Must be accepted" danger>
        {mustAccept.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </Part>
      <Part title="You should know">
        {warnings.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </Part>
      <Part title="Keyturn will make">
        {creates.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </Part>
      <Part title="Steps" numbered>
        {steps.map((each) => (
          <li key={each}>{each}</li>
        ))}
      </Part>
      <Part title="The same key is also used for">
        {alsoUsedFor.map(({ what, becomes }) => (
          <li key={what}>
            {what}: {becomes}
          </li>
        ))}
      </Part>
    </div>
  )
}

function Part({
  title,
  children,
  danger = false,
  numbered = false,
}: {
  title: string
  children: ReactNode[]
  danger?: boolean
  numbered?: boolean
}) {
  if (children.length === 0) return null
  return (
    <section className="border-t border-line pt-3">
      <h3 className={`text-fine font-semibold ${danger ? 'text-danger' : ''}`}>{title}</h3>
      {numbered ? (
        <ol className="mt-1 list-decimal space-y-1 pl-5 marker:text-soft">{children}</ol>
      ) : (
        <ul className="mt-1 space-y-1">{children}</ul>
      )}
    </section>
  )
}
