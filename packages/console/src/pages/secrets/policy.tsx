import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Row } from '../../parts/page.tsx'
import type { Secret } from '../../secret.ts'

/** What the configuration says of a secret. */
export function SecretPolicy({ secret: { automatic, owner, risk, runbook, policy } }: { secret: Secret }) {
  const { every, window, jitter, grace, soak, deadline, patience, after } = policy
  const facts: readonly (readonly [string, ReactNode])[] = [
    ['Owner', owner ?? 'nobody is named'],
    ['Risk', `${risk}, for whoever must judge a leak`],
    ['Interval', every === null ? 'none: it is never due' : `every ${every}`],
    [
      'Begun by',
      automatic
        ? `the server${window === null ? '' : `, between ${window} UTC`}${jitter === null ? '' : `, up to ${jitter} late`}`
        : 'a person',
    ],
    ['Grace', `${grace ?? '1h'} in which both work${soak === null ? '' : `, then ${soak} with the old one disabled`}`],
    ['Deadline', `${deadline ?? '30m'} for a step; ${patience ?? '1d'} for a person`],
    ...(after.length === 0 ? [] : [['After', <Names key="after" names={after} />] as const]),
    ...(runbook === null || !/^https?:/.test(runbook)
      ? []
      : [
          [
            'Runbook',
            <a key="runbook" href={runbook} target="_blank" rel="noreferrer">
              {new URL(runbook).host}
              <span className="sr-only"> (another window)</span>
            </a>,
          ] as const,
        ]),
  ]
  return (
    <Row title="Policy" note="As the configuration says.">
      <dl className="grid grid-cols-[6rem_minmax(0,1fr)] gap-x-4 gap-y-1.5">
        {facts.map(([name, value]) => (
          <div key={name} className="col-span-2 grid grid-cols-subgrid">
            <dt className="text-soft">{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Row>
  )
}

const Names = ({ names }: { names: readonly string[] }) => (
  <ul className="flex flex-wrap gap-x-4">
    {names.map((name) => (
      <li key={name}>
        <Link to="/secrets/$name" params={{ name }}>
          {name}
        </Link>
      </li>
    ))}
  </ul>
)
