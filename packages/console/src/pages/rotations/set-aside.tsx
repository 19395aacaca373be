import { useInfiniteQuery } from '@tanstack/react-query'
import { getSetAside } from '../../api/rotations.ts'
import type { Rotation, SetAside } from '../../domain.ts'
import { More } from '../../parts/more.tsx'
import { Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { counted } from '../../words/numbers.ts'

/** Values that stay as they are, each with its row and a reason. */
export function SetAsideRow({ rotation: { id, setAside } }: { rotation: Rotation }) {
  const found = useInfiniteQuery({
    queryKey: ['rotations', 'set-aside', id, setAside],
    queryFn: ({ pageParam }) => getSetAside(id, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ next }) => next ?? undefined,
    enabled: setAside > 0,
    placeholderData: (before) => before,
  })
  if (setAside === 0)
    return (
      <Row title="Set aside">
        <p className="text-soft">Nothing. Every value that was met opens.</p>
      </Row>
    )
  return (
    <Row title="Set aside" note="They do not open. Nothing was overwritten.">
      <p className="mb-4">
        <strong className="font-semibold text-danger">{counted(setAside, 'value')}</strong> {setAside === 1 ? 'needs' : 'need'} a person:
        restore
        {setAside === 1 ? ' it' : ' them'} from a backup, give the key that opens {setAside === 1 ? 'it' : 'them'}, or have your application
        write {setAside === 1 ? 'it' : 'them'} anew. Then rotate again.
      </p>
      <Loaded of={{ ...found, data: found.data?.pages.flatMap(({ items }) => items) }} what="values set aside">
        {(rows) => <List rows={rows} />}
      </Loaded>
      <More there={found.hasNextPage} busy={found.isFetchingNextPage} onMore={() => void found.fetchNextPage()} />
    </Row>
  )
}

const List = ({ rows }: { rows: readonly SetAside[] }) => (
  <Table
    caption="Values set aside"
    rows={rows}
    keyOf={({ field, row, path }) => `${field} ${row} ${path ?? ''}`}
    columns={[
      { name: 'Field', cell: ({ field }) => <span className="mono">{field}</span> },
      {
        name: 'Row',
        cell: ({ row, path }) => (
          <span className="mono">
            {row}
            {path === null ? null : <span className="block text-soft">{path}</span>}
          </span>
        ),
      },
      {
        name: 'Why',
        cell: ({ what, reason }) => (
          <>
            <span className="block first-letter:uppercase">{what}</span>
            <code className="text-fine text-soft">{reason}</code>
          </>
        ),
      },
    ]}
  />
)
