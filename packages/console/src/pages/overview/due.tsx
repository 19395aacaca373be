import type { UseQueryResult } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Keyring } from '../../domain.ts'
import { Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When } from '../../parts/when.tsx'
import { lasting } from '../../words/times.ts'

/** When each keyring is to be rotated, by its policy, the next first. */
export function DueRow({ keyrings }: { keyrings: UseQueryResult<readonly Keyring[]> }) {
  return (
    <Row title="What is due" note="By the period that the configuration gives each keyring.">
      <Loaded
        of={keyrings}
        what="keyrings"
        empty={{ when: (all) => all.length === 0, say: <p className="text-soft">Nothing: there is no keyring.</p> }}
      >
        {(all) => (
          <Table
            caption="Keyrings and when they are due"
            rows={[...all].sort((a, b) => (a.dueAt?.getTime() ?? Number.MAX_VALUE) - (b.dueAt?.getTime() ?? Number.MAX_VALUE))}
            keyOf={({ name }) => name}
            columns={[
              {
                name: 'Keyring',
                cell: ({ name }) => (
                  <Link to="/keys/$name" params={{ name }}>
                    {name}
                  </Link>
                ),
              },
              {
                name: 'Period',
                cell: ({ policy: { periodSeconds } }) => (periodSeconds === null ? 'none' : `every ${lasting(periodSeconds)}`),
              },
              { name: 'Active since', cell: ({ active }) => <When at={active?.activatedAt ?? null} never="unknown" /> },
              { name: 'Due', cell: ({ dueAt }) => <DueAt at={dueAt} /> },
              { name: 'By whom', cell: ({ policy }) => (policy.automatic ? 'the server, by itself' : 'a person') },
            ]}
          />
        )}
      </Loaded>
    </Row>
  )
}

const DueAt = ({ at }: { at: Date | null }) =>
  at !== null && at < new Date() ? (
    <strong className="font-semibold text-retiring-ink">
      overdue, <When at={at} />
    </strong>
  ) : (
    <When at={at} never="no date" />
  )
