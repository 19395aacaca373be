import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Empty, Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { queries } from '../../queries.ts'
import type { Secret } from '../../secret.ts'
import { byDue, partSays, secretStanding } from '../../words/secrets.ts'
import { Due, DueLine } from './due-line.tsx'

/** The credentials that come from elsewhere: which, whose, when they are due, and how they stand. */
export function Secrets() {
  const found = useQuery(queries.secrets())
  return (
    <Page
      title="Secrets"
      lead="Credentials that others issue. A new one is tried where it is used before the old one is revoked."
      actions={
        <Link to="/leaks" className="button">
          If something leaked…
        </Link>
      }
    >
      <Loaded of={found} what="secrets" empty={{ when: (all) => all.length === 0, say: <None /> }}>
        {(all) => (
          <>
            <Row title="When they are due" note="The overdue first. Dashed: the time that is left.">
              <DueLine secrets={all} />
            </Row>
            <Row title="Inventory">
              <List secrets={[...all].sort(byDue)} />
            </Row>
          </>
        )}
      </Loaded>
      <HowItWorks
        steps={[
          'A rotation makes a new credential beside the old one, tries it, writes it to every store, and has every target take it.',
          'Then it looks whether all is well, and whether anybody still uses the old one. Until that is revoked, everything can be taken back.',
          'Each step is on record before and after, so that any server goes on where another one died.',
          'What no API can do is a task for a person, with instructions and a place to paste. Nothing that is pasted is shown again.',
        ]}
      />
    </Page>
  )
}

const List = ({ secrets }: { secrets: readonly Secret[] }) => (
  <Table
    caption="Secrets"
    rows={secrets}
    keyOf={({ name }) => name}
    columns={[
      {
        name: 'Secret',
        width: 'w-[22%]',
        cell: ({ name }) => (
          <Link to="/secrets/$name" params={{ name }}>
            {name}
          </Link>
        ),
      },
      { name: 'Owner', width: 'w-[12%]', cell: ({ owner }) => owner ?? <span className="text-soft">nobody</span> },
      { name: 'Rotator', width: 'w-[15%]', cell: ({ rotator }) => partSays(rotator) },
      {
        name: 'Stores',
        width: 'w-[13%]',
        cell: ({ stores }) => stores.map(({ store }) => partSays(store)).join(', ') || <span className="text-soft">none</span>,
      },
      { name: 'Due', width: 'w-[15%]', cell: (secret) => <Due secret={secret} /> },
      { name: 'By whom', width: 'w-[9%]', cell: ({ automatic }) => (automatic ? 'server' : 'person') },
      { name: 'State', cell: (secret) => <Standing secret={secret} /> },
    ]}
  />
)

/** How a secret stands, in a few words. */
export function Standing({ secret }: { secret: Secret }) {
  const { says, bad } = secretStanding(secret)
  return bad ? <strong className="font-semibold text-danger">{says}</strong> : says
}

const None = () => (
  <Empty title="There is no secret yet">
    Name one under <code>secrets</code> in <code>keyturn.config.ts</code>, with its rotator, its stores and its gates, and start the server
    again. <code>keyturn secrets plan</code> says what a rotation of it would call.
  </Empty>
)
