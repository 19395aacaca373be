import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import { runStates } from '../../words/secrets.ts'

/** The runs of a secret, the newest first; each can be looked at. */
export function History({ name, shown }: { name: string; shown: string | null }) {
  const found = useQuery(queries.runs(name))
  return (
    <Row title="History" note="The latest 50, the newest first.">
      <Loaded
        of={found}
        what="runs"
        empty={{ when: (all) => all.length === 0, say: <p className="text-soft">It was never rotated here.</p> }}
      >
        {(runs) => (
          <Table
            caption={`Rotations of ${name}`}
            rows={runs}
            keyOf={({ id }) => id}
            columns={[
              {
                name: 'Begun',
                cell: ({ id, createdAt }) => (
                  <Link to="/secrets/$name" params={{ name }} search={{ run: id }} aria-current={id === shown ? 'true' : undefined}>
                    <When at={createdAt} />
                  </Link>
                ),
              },
              { name: 'What', cell: ({ kind }) => (kind === 'sync' ? 'brought in line' : 'rotation') },
              { name: 'State', cell: ({ state }) => runStates[state].says },
              { name: 'By', cell: ({ startedBy }) => startedBy },
              { name: 'New credential', cell: ({ newId }) => (newId === null ? <None /> : <code>{newId}</code>) },
              { name: 'Over', cell: ({ endedAt }) => <When at={endedAt} never="not yet" /> },
            ]}
          />
        )}
      </Loaded>
    </Row>
  )
}

const None = () => <span className="text-soft">no id</span>
