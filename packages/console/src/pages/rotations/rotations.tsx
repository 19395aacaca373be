import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { getRotations } from '../../api/rotations.ts'
import type { Rotation } from '../../domain.ts'
import { Swatch } from '../../parts/bar.tsx'
import { More } from '../../parts/more.tsx'
import { HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Empty, Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When } from '../../parts/when.tsx'
import { count } from '../../words/numbers.ts'
import { isFinal, rotationStates } from '../../words/states.ts'

/** Every rotation: those that run, and the history. */
export function Rotations() {
  const found = useInfiniteQuery({
    queryKey: ['rotations', 'all'],
    queryFn: ({ pageParam }) => getRotations({ after: pageParam }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ next }) => next ?? undefined,
    refetchInterval: 3_000,
  })
  const all = found.data?.pages.flatMap(({ items }) => items)
  return (
    <Page title="Rotations" lead="A rotation makes every value of some fields current. It goes on where it stopped, whoever stopped it.">
      <Loaded of={{ ...found, data: all }} what="rotations" empty={{ when: (rows) => rows.length === 0, say: <None /> }}>
        {(rows) => (
          <>
            <Row title="Not done">
              {rows.some((row) => !isFinal(row)) ? (
                <List caption="Rotations that are not done" rows={rows.filter((row) => !isFinal(row))} />
              ) : (
                <p className="text-soft">No rotation is running.</p>
              )}
            </Row>
            <Row title="History" note="The newest first.">
              <List caption="Rotations that are done" rows={rows.filter(isFinal)} />
              <More there={found.hasNextPage} busy={found.isFetchingNextPage} onMore={() => void found.fetchNextPage()} />
            </Row>
          </>
        )}
      </Loaded>
      <HowItWorks
        steps={[
          'Values are rewritten in small batches. Each write compares with what was read: what your application wrote meanwhile is never overwritten, it comes again.',
          'A value that does not open is set aside: it stays as it is, and is listed with its row and a reason.',
          'When a pass finds nothing more to rewrite, every value is opened and counted.',
          'If the server is stopped or killed, the rotation goes on where its last batch left it. Every value stays readable all the time.',
        ]}
      />
    </Page>
  )
}

const List = ({ caption, rows }: { caption: string; rows: readonly Rotation[] }) => (
  <Table
    caption={caption}
    rows={rows}
    keyOf={({ id }) => id}
    columns={[
      {
        name: 'Keyring',
        width: 'w-[20%]',
        cell: ({ id, keyring }) => (
          <Link to="/rotations/$id" params={{ id }} className="font-semibold">
            {keyring}
          </Link>
        ),
      },
      {
        name: 'State',
        width: 'w-[16%]',
        cell: ({ state }) => (
          <span className="inline-flex items-center gap-2">
            <Swatch tone={rotationStates[state].tone} />
            {rotationStates[state].says}
          </span>
        ),
      },
      { name: 'Started', width: 'w-[22%]', cell: ({ createdAt, startedBy }) => <Started at={createdAt} by={startedBy} /> },
      { name: 'Values rewritten', numbers: true, cell: ({ rotated }) => count(rotated) },
      {
        name: 'Set aside',
        numbers: true,
        cell: ({ setAside }) => (setAside === 0 ? '0' : <strong className="text-danger">{count(setAside)}</strong>),
      },
      { name: 'Certificate', cell: ({ hasCertificate }) => (hasCertificate ? 'signed' : <span className="text-soft">none</span>) },
    ]}
  />
)

const Started = ({ at, by }: { at: Date; by: string | null }) => (
  <>
    <When at={at} />
    {by === null ? null : <span className="block text-fine text-soft">by {by}</span>}
  </>
)

const None = () => (
  <Row title="History">
    <Empty title="Nothing has been rotated yet" action={<Link to="/keys">Go to the keyrings</Link>}>
      Choose a keyring and look at the plan of its rotation: it changes nothing until you confirm it.
    </Empty>
  </Row>
)
