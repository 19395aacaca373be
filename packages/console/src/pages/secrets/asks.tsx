import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { resumeRun } from '../../api/secrets.ts'
import { Button } from '../../parts/button.tsx'
import { Select } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'
import { queries } from '../../queries.ts'
import type { Run } from '../../secret.ts'
import { Needs } from '../../session.tsx'

const answers = [
  ['open', 'I do not know yet'],
  ['remove', 'This rotation made it: end it'],
  ['keep', 'It belongs to somebody: leave it'],
] as const
type Answer = (typeof answers)[number][0]

/** Ids at the issuer that may be of this run. None is ended unless somebody says so. */
export function AsksForm({ run: { id, asks } }: { run: Run }) {
  const [said, setSaid] = useState<{ readonly [asked: string]: Answer }>({})
  const client = useQueryClient()
  const resuming = useMutation({ mutationFn: resumeRun, onSuccess: (now) => client.setQueryData(queries.run(id).queryKey, now) })
  const of = (answer: Answer) => asks.filter((asked) => (said[asked] ?? 'open') === answer)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    resuming.mutate({ id, remove: of('remove'), keep: of('keep') })
  }
  return (
    <Needs takes="operator" to="say whose they are">
      <form onSubmit={submit} className="max-w-[36rem] space-y-4">
        {asks.map((asked) => (
          <Select
            key={asked}
            label={asked}
            value={said[asked] ?? 'open'}
            options={answers}
            onValue={(answer) => setSaid((before) => ({ ...before, [asked]: answer }))}
          />
        ))}
        <Refusal error={resuming.error} />
        <Button type="submit" kind="primary" disabled={of('open').length === asks.length} busy={resuming.isPending}>
          Go on
        </Button>
      </form>
    </Needs>
  )
}
