import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { takeCensus } from '../../api/keyrings.ts'
import type { Census, FieldCensus, Keyring } from '../../domain.ts'
import { KeyBar } from '../../parts/bar.tsx'
import { Button } from '../../parts/button.tsx'
import { Row } from '../../parts/page.tsx'
import { Empty, Loaded, Refusal } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import { Needs } from '../../session.tsx'
import { counted } from '../../words/numbers.ts'
import { segmentsOf } from '../../words/segments.ts'

/** How many values of each field stand under which key, and when they were counted. */
export function CensusRow({ keyring }: { keyring: Keyring }) {
  const census = useQuery(queries.census(keyring.name))
  if (keyring.signs) return null
  return (
    <Row title="Census by field" note="How many values stand under which key. Nothing is opened and nothing is changed.">
      <Loaded of={census} what="census">
        {([latest]) => <Counted census={latest ?? null} keyring={keyring} />}
      </Loaded>
    </Row>
  )
}

function Counted({ census, keyring }: { census: Census | null; keyring: Keyring }) {
  if (keyring.fields.length === 0)
    return <Empty title="No field uses this keyring">Name it as the keyring of a field in the configuration.</Empty>
  if (census === null || census.fields === null)
    return (
      <Empty title="The values are not counted yet" action={<CountButton keyring={keyring} running={census?.running ?? false} />}>
        Counting reads every row once, in small steps, and goes on in the background.
      </Empty>
    )
  return (
    <>
      <ul className="space-y-6">
        {census.fields.map((field) => (
          <li key={field.field}>
            <OneField field={field} keyring={keyring} />
          </li>
        ))}
      </ul>
      <div className="mt-6 flex flex-wrap items-center gap-4">
        <CountButton keyring={keyring} running={census.running} />
        <span className="text-fine text-soft">
          Counted <When at={census.at} />.
        </span>
      </div>
    </>
  )
}

function OneField({ field, keyring }: { field: FieldCensus; keyring: Keyring }) {
  const segments = segmentsOf([field], keyring.versions)
  return (
    <>
      <h3 className="mb-1.5 flex flex-wrap items-baseline justify-between gap-x-6">
        <span className="mono">{field.field}</span>
        <span className="text-fine text-soft">
          {counted(field.total, 'value')}
          {field.kept === 0 ? null : `, and ${field.kept.toLocaleString('en-US')} kept as they are`}
        </span>
      </h3>
      {segments.length === 0 ? <p className="text-soft">There are no values in it.</p> : <KeyBar segments={segments} of={field.field} />}
    </>
  )
}

function CountButton({ keyring: { name }, running }: { keyring: Keyring; running: boolean }) {
  const client = useQueryClient()
  const counting = useMutation({ mutationFn: takeCensus, onSettled: () => client.invalidateQueries({ queryKey: ['census'] }) })
  return (
    <Needs takes="operator" to="count the values">
      <Button onClick={() => counting.mutate(name)} busy={running || counting.isPending}>
        {running ? 'Counting…' : 'Count the values'}
      </Button>
      <Refusal error={counting.error} />
    </Needs>
  )
}
