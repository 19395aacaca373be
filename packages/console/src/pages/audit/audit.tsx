import { useInfiniteQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { type AuditFilter, exportAddress, getAudit } from '../../api/audit.ts'
import { Button } from '../../parts/button.tsx'
import { More } from '../../parts/more.tsx'
import { HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Empty, Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When } from '../../parts/when.tsx'
import type { AuditEvent } from '../../record.ts'
import { useMay } from '../../session.tsx'
import { ChainRow } from './chain.tsx'
import { Filter } from './filter.tsx'
import { asTimes } from './search.ts'

const route = getRouteApi('/audit')

/** Who did what to what, and whether the record is whole. */
export function Audit() {
  const filter = route.useSearch()
  const navigate = useNavigate({ from: '/audit' })
  const exports = useMay('operator')
  const change = (search: AuditFilter) => void navigate({ search, replace: true })
  const found = useInfiniteQuery({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam }) => getAudit(asTimes(filter), pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: ({ next }) => next ?? undefined,
  })
  const all = found.data?.pages.flatMap(({ items }) => items)
  const filtered = Object.keys(filter).length > 0
  return (
    <Page
      title="Audit"
      lead="Every change of state, also a failed one, in a chain of hashes."
      actions={
        exports ? (
          <a className="button" href={exportAddress()} download="keyturn-audit.jsonl">
            Export all
          </a>
        ) : null
      }
    >
      <ChainRow />
      <Row title="Events" note="The newest first.">
        <Filter key={JSON.stringify(filter)} filter={filter} onFilter={change} />
        <Loaded
          of={{ ...found, data: all }}
          what="events"
          empty={{ when: (rows) => rows.length === 0, say: filtered ? <NoneFits onClear={() => change({})} /> : <None /> }}
        >
          {(rows) => <Events rows={rows} />}
        </Loaded>
        <More there={found.hasNextPage} busy={found.isFetchingNextPage} onMore={() => void found.fetchNextPage()} />
      </Row>
      <HowItWorks
        steps={[
          'Each event holds the hash of the one before it. Whoever changes or removes one breaks the chain from there on.',
          'A chain in a database proves nothing against somebody who owns that database: keep its head elsewhere, and check against it.',
          'No event holds a key, a value, a token or a password.',
        ]}
      />
    </Page>
  )
}

const Events = ({ rows }: { rows: readonly AuditEvent[] }) => (
  <Table
    caption="Audit events"
    rows={rows}
    keyOf={({ seq }) => String(seq)}
    columns={[
      { name: 'No.', cell: ({ seq }) => <span className="text-soft">{seq}</span> },
      { name: 'When', cell: ({ at }) => <When at={at} /> },
      { name: 'Who', cell: ({ actor }) => <span className="mono">{actor}</span> },
      { name: 'What', cell: ({ action, subject }) => <What action={action} subject={subject} /> },
      { name: 'Facts', cell: (event) => <Facts event={event} /> },
    ]}
  />
)

const What = ({ action, subject }: Pick<AuditEvent, 'action' | 'subject'>) => (
  <>
    <span className="font-semibold">{action}</span>
    <span className="mono block text-soft">{subject}</span>
  </>
)

function Facts({ event: { data, hash, seq } }: { event: AuditEvent }) {
  return (
    <details>
      <summary className="cursor-pointer text-soft">
        {shortly(data)}
        <span className="sr-only"> of event {seq}</span>
      </summary>
      <pre className="mt-2 whitespace-pre-wrap text-fine">{JSON.stringify(data, null, 2)}</pre>
      <code className="block text-fine text-soft">{hash}</code>
    </details>
  )
}

function shortly(data: AuditEvent['data']): string {
  const plain = Object.entries(data).filter(([, value]) => typeof value !== 'object')
  if (plain.length === 0) return 'show'
  const shown = plain.slice(0, 2).map(([name, value]) => `${name} ${String(value).slice(0, 16)}`)
  return `${shown.join(', ')}${plain.length > 2 ? ', …' : ''}`
}

const None = () => (
  <Empty title="Nothing is on record yet">The first event is written when a keyring is made, or when somebody logs in.</Empty>
)
const NoneFits = ({ onClear }: { onClear: () => void }) => (
  <Empty title="No event fits the filter" action={<Button onClick={onClear}>Show all events</Button>}>
    Names are compared as a whole: user:ada, keyring/app.
  </Empty>
)
