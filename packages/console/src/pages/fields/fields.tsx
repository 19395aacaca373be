import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Field } from '../../domain.ts'
import { Progress } from '../../parts/bar.tsx'
import { Figure, Figures, HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Empty, Loaded } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { queries } from '../../queries.ts'
import { count, counted, percent } from '../../words/numbers.ts'

/** Every place that holds encrypted values, by table. */
export function Fields() {
  const fields = useQuery(queries.fields())
  return (
    <Page title="Fields" lead="A field is one place that holds encrypted values: a column, or a member of a document in it.">
      <Loaded of={fields} what="fields" empty={{ when: (all) => all.length === 0, say: <None /> }}>
        {(all) => (
          <>
            <Summary all={all} />
            <div className="h-8" />
            <Findings all={all} />
            {[...Map.groupBy(all, ({ table }) => table)].map(([table, some]) => (
              <OneTable key={table} table={table} fields={some} />
            ))}
          </>
        )}
      </Loaded>
      <HowItWorks
        steps={[
          'Fields are declared in keyturn.config.ts, which your application and this server share.',
          'A bound value is authenticated together with columns of its row: copied to another row, it does not open. An unbound one can be moved by whoever writes the database.',
          'A field writes one format and reads several. Values in another format are rewritten by the next rotation.',
        ]}
      />
    </Page>
  )
}

function Summary({ all }: { all: readonly Field[] }) {
  const unbound = all.filter(({ bound }) => bound.length === 0).length
  const known = all.filter(({ total }) => total !== null)
  const sum = (part: (field: Field) => number | null) => known.reduce((total, field) => total + (part(field) ?? 0), 0)
  const [total, current] = [sum((field) => field.total), sum((field) => field.current)]
  return (
    <Figures>
      <Figure label="Fields" note={`in ${counted(new Set(all.map(({ table }) => table)).size, 'table')}`}>
        {count(all.length)}
      </Figure>
      <Figure label="Current values" note={known.length === 0 ? 'not counted yet' : `${count(current)} of ${count(total)}`}>
        {known.length === 0 ? '–' : percent(current, total)}
      </Figure>
      <Figure label="Unbound fields" note="their values can be moved between rows">
        {count(unbound)}
      </Figure>
      <Figure label="Findings" note="something to look at">
        {count(all.reduce((n, { findings }) => n + findings.length, 0))}
      </Figure>
    </Figures>
  )
}

function Findings({ all }: { all: readonly Field[] }) {
  const found = all.flatMap(({ name, findings }) => findings.map((finding) => ({ name, finding })))
  return (
    <Row title="Findings">
      {found.length === 0 ? (
        <p className="text-soft">None. Every field is declared as it should be.</p>
      ) : (
        <ul className="space-y-2">
          {found.map(({ name, finding }) => (
            <li key={`${name} ${finding}`}>
              <span className="mono font-semibold">{name}</span> <span className="text-soft">{finding}</span>
            </li>
          ))}
        </ul>
      )}
    </Row>
  )
}

function OneTable({ table, fields }: { table: string; fields: readonly Field[] }) {
  return (
    <Row title={table} note={`${counted(fields.length, 'field')}${fields[0]?.store === 'redis' ? ', in Redis' : ''}`}>
      <Table
        caption={`Fields of ${table}`}
        rows={fields}
        keyOf={({ name }) => name}
        columns={[
          { name: 'Field', width: 'w-[36%]', cell: (field) => <Name field={field} /> },
          {
            name: 'Keyring',
            cell: ({ keyring }) => (
              <Link to="/keys/$name" params={{ name: keyring }}>
                {keyring}
              </Link>
            ),
          },
          {
            name: 'Bound to',
            cell: ({ bound }) => (bound.length === 0 ? <span className="text-retiring-ink">unbound</span> : bound.join(', ')),
          },
          { name: 'Writes', cell: ({ writes, reads }) => <Formats writes={writes} reads={reads} /> },
          { name: 'Current', cell: (field) => <Coverage field={field} /> },
        ]}
      />
    </Row>
  )
}

const Name = ({ field: { name, place, sensitive } }: { field: Field }) => (
  <>
    <span className="font-semibold">{name}</span>
    <code className="block text-fine text-soft">{place}</code>
    {sensitive ? <span className="block text-fine text-soft">its key is a secret itself: rows are shown as hashes</span> : null}
  </>
)

const Formats = ({ writes, reads }: Pick<Field, 'writes' | 'reads'>) => {
  const older = reads.filter((codec) => codec !== writes)
  return (
    <>
      {writes}
      {older.length === 0 ? null : <span className="block text-fine text-soft">reads {older.join(', ')}, too</span>}
    </>
  )
}

function Coverage({ field: { name, total, current, unreadable } }: { field: Field }) {
  if (total === null || current === null) return <span className="text-soft">not counted</span>
  if (total === 0) return <span className="text-soft">no values</span>
  return (
    <div className="min-w-28">
      <Progress label={`Current values of ${name}`} done={current} total={total} thin />
      <span className="text-fine text-soft">
        {percent(current, total)} of {count(total)}
        {unreadable ? <span className="text-danger">, {count(unreadable)} do not open</span> : null}
      </span>
    </div>
  )
}

const None = () => (
  <Row title="Fields">
    <Empty title="No field is declared yet">
      Name the columns that hold encrypted values under <code>fields</code> in <code>keyturn.config.ts</code> and start the server again.{' '}
      <code>keyturn presets</code> lists applications whose fields Keyturn knows.
    </Empty>
  </Row>
)
