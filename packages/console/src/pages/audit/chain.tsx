import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { checkAudit } from '../../api/audit.ts'
import { Button } from '../../parts/button.tsx'
import { Input } from '../../parts/inputs.tsx'
import { Row } from '../../parts/page.tsx'
import { Refusal } from '../../parts/states.tsx'
import type { AuditReport } from '../../record.ts'
import { Needs } from '../../session.tsx'
import { counted } from '../../words/numbers.ts'
import { faults } from '../../words/states.ts'

/** Checks the chain, and against a head that was kept elsewhere. */
export function ChainRow() {
  const [expect, setExpect] = useState('')
  const checking = useMutation({ mutationFn: checkAudit })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    checking.mutate(expect)
  }
  return (
    <Row title="The chain" note="Whether anything was changed, removed or put in.">
      <Needs takes="operator" to="check the chain or export the events">
        <form onSubmit={submit} className="grid items-end gap-4 wide:grid-cols-[minmax(0,1fr)_auto]">
          <Input
            label="A head that you kept elsewhere, if you have one"
            placeholder="number:hash"
            value={expect}
            onText={setExpect}
            autoComplete="off"
            spellCheck={false}
          />
          <Button type="submit" busy={checking.isPending}>
            Check every event
          </Button>
        </form>
        <div className="mt-4 space-y-3" role="status">
          {checking.data === undefined ? null : <Report report={checking.data} expected={checking.variables?.trim() !== ''} />}
        </div>
        <Refusal error={checking.error} />
      </Needs>
    </Row>
  )
}

function Report({ report: { intact, events, head, fault }, expected }: { report: AuditReport; expected: boolean }) {
  if (!intact)
    return (
      <div className="border-l-4 border-danger pl-5">
        <p className="text-lead font-semibold">The chain is broken at event {fault?.seq ?? events + 1}</p>
        <p className="text-soft">
          Of this event: {faults[fault?.reason ?? ''] ?? 'it is wrong'}. What stands before it is intact. Compare with an export or a
          checkpoint that you kept.
        </p>
      </div>
    )
  return (
    <div className="border-l-4 border-active pl-5">
      <p className="text-lead font-semibold">Intact: {counted(events, 'event')} checked</p>
      <p className="text-soft">
        {expected ? 'The head that you gave is in the chain. ' : ''}Keep this head elsewhere; the next check can begin from it:
      </p>
      <code className="block text-fine">{head}</code>
    </div>
  )
}
