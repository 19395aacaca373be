import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Keyring } from '../../domain.ts'
import { HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Empty, Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import { count } from '../../words/numbers.ts'

const kinds: Record<Keyring['kind'], string> = {
  stored: 'kept by Keyturn',
  environment: 'from the environment',
  table: 'in a table of the application; only decrypts',
}

/** Every keyring of the configuration. */
export function Keys() {
  const keyrings = useQuery(queries.keyrings())
  return (
    <Page title="Keys" lead="A keyring is a named set of key versions. Exactly one is active: what is new is encrypted under it.">
      <Row title="Keyrings">
        <Loaded of={keyrings} what="keyrings" empty={{ when: (all) => all.length === 0, say: <None /> }}>
          {(all) => <Keyrings all={all} />}
        </Loaded>
      </Row>
      <HowItWorks
        steps={[
          'A new version is made. It is pending until every process of your application has had time to learn it.',
          'It becomes active. From then on it encrypts what is new, and the one before it is retiring: it only decrypts.',
          'Every value that is not current is rewritten, row by row, while your application reads and writes.',
          'Every value is opened once more and counted. The certificate says what was found.',
          'When the database itself refuses the old key and has checked every row, it is retired. Once no backup needs it, it can be destroyed.',
        ]}
      />
    </Page>
  )
}

const Keyrings = ({ all }: { all: readonly Keyring[] }) => (
  <Table
    caption="Keyrings"
    rows={all}
    keyOf={({ name }) => name}
    columns={[
      {
        name: 'Keyring',
        cell: ({ name, kind, signs }) => (
          <>
            <Link to="/keys/$name" params={{ name }} className="font-semibold">
              {name}
            </Link>
            <span className="block text-fine text-soft">{signs ? 'signs tokens' : kinds[kind]}</span>
          </>
        ),
      },
      {
        name: 'Active key',
        cell: ({ active }) =>
          active === null ? (
            <span className="text-soft">none</span>
          ) : (
            <>
              version {active.number}
              <span className="block text-fine text-soft">
                {active.activatedAt === null ? (
                  'of unknown age'
                ) : (
                  <>
                    since <When at={active.activatedAt} />
                  </>
                )}
              </span>
            </>
          ),
      },
      {
        name: 'Values',
        numbers: true,
        cell: ({ counts, signs }) => (counts === null ? <NotCounted signs={signs} /> : count(counts.total)),
      },
      { name: 'Not current', numbers: true, cell: ({ counts }) => (counts === null ? <Unknown /> : count(counts.other)) },
      { name: 'Do not open', numbers: true, cell: ({ counts }) => (counts === null ? <Unknown /> : <Bad n={counts.unreadable} />) },
      {
        name: 'Due',
        cell: ({ dueAt, due }) => (due.some(({ what }) => what === 'rotate') ? <strong>now</strong> : <When at={dueAt} never="no date" />),
      },
    ]}
  />
)

const NotCounted = ({ signs }: { signs: boolean }) => <span className="text-soft">{signs ? 'none: tokens' : 'not counted'}</span>
const Unknown = () => (
  <span className="text-soft">
    <span aria-hidden="true">–</span>
    <span className="sr-only">not counted</span>
  </span>
)
const Bad = ({ n }: { n: number }) => (n === 0 ? '0' : <strong className="font-semibold text-danger">{count(n)}</strong>)

const None = () => (
  <Empty title="There is no keyring yet">
    Name one under <code>keyrings</code> in <code>keyturn.config.ts</code> and start the server again. Its first key is made by itself.
  </Empty>
)
