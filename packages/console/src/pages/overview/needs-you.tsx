import type { UseQueryResult } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Keyring, Rotation } from '../../domain.ts'
import { Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import type { Secret } from '../../secret.ts'
import { type Attention, attention } from '../../words/attention.ts'
import { counted } from '../../words/numbers.ts'

interface Known {
  readonly keyrings: UseQueryResult<readonly Keyring[]>
  readonly rotations: UseQueryResult<readonly Rotation[]>
  readonly secrets: UseQueryResult<readonly Secret[]>
}

/** What needs a person, the worst first. */
export function NeedsYou({ keyrings, rotations, secrets }: Known) {
  return (
    <Row title="What needs you now" note="The worst first. What is not listed can wait.">
      <Loaded of={keyrings} what="keyrings">
        {(all) => {
          const found = attention(all, rotations.data ?? [], secrets.data ?? [])
          return found.length === 0 ? <Nothing keyrings={all.length} /> : <List found={found} />
        }}
      </Loaded>
    </Row>
  )
}

function Nothing({ keyrings }: { keyrings: number }) {
  return (
    <p className="text-lead">
      Nothing needs you now. <span className="text-soft">{keyrings === 0 ? '' : `${counted(keyrings, 'keyring')} looked at.`}</span>
    </p>
  )
}

const bad: readonly Attention['risk'][] = ['Values are at risk', 'Work stands still', 'Overdue']

function List({ found }: { found: readonly Attention[] }) {
  return (
    <ol className="border-t-2 border-ink">
      {found.map(({ id, risk, what, why, to, step }, n) => (
        <li
          key={id}
          className={`grid gap-x-6 gap-y-1 py-3.5 wide:grid-cols-[9rem_minmax(0,1fr)_auto] ${n > 0 && found[n - 1]?.risk !== risk ? 'border-t border-edge' : ''}`}
        >
          {/* One word for all that are as bad: it is read out for each of them, and shown once. */}
          <p className={`text-fine font-semibold ${inkOf(risk)}`}>
            <span className={found[n - 1]?.risk === risk ? 'wide:sr-only' : ''}>{risk}</span>
          </p>
          <div>
            <h3 className="font-semibold">{what}</h3>
            <p className="text-soft first-letter:uppercase">{why}</p>
          </div>
          <p className="wide:text-right">
            <Link {...placeOf(to)}>
              {step}
              <span className="sr-only">: {what}</span>
            </Link>
          </p>
        </li>
      ))}
    </ol>
  )
}

function placeOf({ page, name }: Attention['to']) {
  if (page === 'keyring') return { to: '/keys/$name', params: { name } } as const
  return page === 'secret'
    ? ({ to: '/secrets/$name', params: { name } } as const)
    : ({ to: '/rotations/$id', params: { id: name } } as const)
}

function inkOf(risk: Attention['risk']): string {
  if (risk === bad[0]) return 'text-danger'
  return bad.includes(risk) ? 'text-retiring-ink' : 'text-soft'
}
