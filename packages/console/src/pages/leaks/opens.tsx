import { useMutation, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { takeCensus } from '../../api/keyrings.ts'
import type { Leak, Opened } from '../../leak.ts'
import { Button } from '../../parts/button.tsx'
import { Row } from '../../parts/page.tsx'
import { Refusal } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When, WithTimes } from '../../parts/when.tsx'
import { Needs } from '../../session.tsx'
import { count } from '../../words/numbers.ts'

const kinds: Record<Opened['what'], string> = { field: 'field', secret: 'secret', tokens: 'tokens' }

/** What whoever has it gets at, the highest risk first. */
export function OpensRow({ leak }: { leak: Leak }) {
  const { opens, subject } = leak
  const counts = subject.kind === 'key' && opens.some(({ what }) => what === 'field')
  return (
    <Row title="What it opens" note="The highest risk first.">
      {opens.length === 0 ? <p className="text-soft">Nothing that Keyturn knows.</p> : <Opens opens={opens} counts={counts} />}
      {counts ? <Counted leak={leak} keyring={subject.keyring} /> : null}
    </Row>
  )
}

const Opens = ({ opens, counts }: { opens: readonly Opened[]; counts: boolean }) => (
  <Table
    caption="What it opens"
    rows={opens}
    keyOf={({ what, name }) => `${what} ${name}`}
    columns={[
      {
        name: 'Name',
        width: 'w-[28%]',
        cell: ({ what, name }) => (
          <>
            {what === 'secret' ? (
              <Link to="/secrets/$name" params={{ name }}>
                {name}
              </Link>
            ) : (
              <span className="mono">{name}</span>
            )}
            <span className="block text-fine text-soft">{kinds[what]}</span>
          </>
        ),
      },
      {
        name: 'Risk',
        width: 'w-[10%]',
        cell: ({ risk }) => (risk === 'critical' ? <strong className="font-semibold text-danger">{risk}</strong> : risk),
      },
      { name: 'Owner', width: 'w-[15%]', cell: ({ owner }) => owner ?? <span className="text-soft">nobody</span> },
      ...(counts
        ? [
            {
              name: 'Values',
              numbers: true,
              width: 'w-[11%]',
              cell: ({ what, values }: Opened) => <Values counted={what === 'field'} values={values} />,
            },
          ]
        : []),
      { name: 'What it is', cell: ({ sentence }) => <WithTimes text={sentence} /> },
    ]}
  />
)

function Values({ counted, values }: { counted: boolean; values: number | null }) {
  if (values !== null) return count(values)
  if (counted) return <span className="text-soft">not counted</span>
  return (
    <span className="text-soft">
      <span aria-hidden="true">–</span>
      <span className="sr-only">nothing to count</span>
    </span>
  )
}

/** How old the counts are, and how to have new ones: to look at a leak reads no row. */
function Counted({ leak: { countedAt, counting }, keyring }: { leak: Leak; keyring: string }) {
  const client = useQueryClient()
  const taking = useMutation({
    mutationFn: takeCensus,
    onSettled: () => Promise.all(['census', 'secrets'].map((key) => client.invalidateQueries({ queryKey: [key] }))),
  })
  return (
    <div className="mt-4 space-y-2">
      <p className="text-fine text-soft">
        {countedAt === null ? (
          'The values were not counted yet.'
        ) : (
          <>
            Counted <When at={countedAt} />.
          </>
        )}{' '}
        To look opens no value.
      </p>
      <Needs takes="operator" to="count the values">
        <Button onClick={() => taking.mutate(keyring)} busy={counting || taking.isPending}>
          {counting ? 'Counting…' : 'Count again'}
        </Button>
      </Needs>
      <Refusal error={taking.error} />
    </div>
  )
}
