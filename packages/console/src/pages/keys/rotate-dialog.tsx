import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { intention } from '../../api/request.ts'
import { makePlan, rotate } from '../../api/rotations.ts'
import type { Keyring, Mode, Plan } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { Check, Select, TypeName } from '../../parts/inputs.tsx'
import { Failed, Loading, Refusal } from '../../parts/states.tsx'
import { counted } from '../../words/numbers.ts'
import { PlanView } from './plan-view.tsx'

const modes: readonly (readonly [Mode, string])[] = [
  ['online', 'Online: the application goes on reading and writing'],
  ['transaction', 'Transaction: all or nothing, and a restart with the new key'],
]

interface RotateProps {
  readonly keyring: Keyring
  readonly onClose: () => void
  /** It has begun; the page of the rotation is gone to unless somebody else knows better. */
  readonly onBegun?: () => void
}

/** A rotation begins with a plan: what it would do is seen before anything is done. */
export function RotateDialog({ open, ...props }: RotateProps & { open: boolean }) {
  const { keyring, onClose } = props
  return (
    <Dialog open={open} onClose={onClose} title={`Rotate ${keyring.name}`} about="This is what it would do. Nothing has been changed yet.">
      <Planned {...props} />
    </Dialog>
  )
}

function Planned({ keyring, onClose, onBegun }: RotateProps) {
  const [mode, setMode] = useState<Mode>('online')
  const [makesKey, setMakesKey] = useState(true)
  const stored = keyring.kind === 'stored'
  const wanted = { keyring: keyring.name, mode, ...(stored && !makesKey ? { newVersion: false } : {}) }
  const plan = useQuery({
    queryKey: ['plan', wanted],
    queryFn: () => makePlan(wanted),
    retry: false,
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
  })
  return (
    <>
      <Select label="Mode" value={mode} options={modes} onValue={setMode} />
      {stored ? (
        <Check
          label="Make a new key version"
          note="Without it, values under older keys are rewritten under the one that is active now."
          checked={makesKey}
          onChecked={setMakesKey}
        />
      ) : null}
      {plan.data === undefined ? (
        <>
          {plan.error === null ? (
            <Loading what="plan" />
          ) : (
            <Failed error={plan.error} what="plan" again={() => void plan.refetch()} busy={plan.isFetching} />
          )}
          <DialogActions>
            <Button onClick={onClose}>Leave everything as it is</Button>
          </DialogActions>
        </>
      ) : (
        <Confirm key={JSON.stringify(wanted)} plan={plan.data} wanted={wanted} onClose={onClose} onBegun={onBegun} />
      )}
    </>
  )
}

interface ConfirmProps extends Omit<RotateProps, 'keyring' | 'onBegun'> {
  readonly plan: Plan
  readonly wanted: Parameters<typeof makePlan>[0]
  readonly onBegun: (() => void) | undefined
}

function Confirm({ plan, wanted, onClose, onBegun }: ConfirmProps) {
  const [once] = useState(intention)
  const [accept, setAccept] = useState(false)
  const [typed, setTyped] = useState('')
  const client = useQueryClient()
  const navigate = useNavigate()
  const starting = useMutation({
    mutationFn: rotate,
    onSuccess: async ({ id }) => {
      if (onBegun === undefined) await navigate({ to: '/rotations/$id', params: { id } })
      else onBegun()
      await client.invalidateQueries({ queryKey: ['rotations'] })
    },
  })
  const mustAccept = plan.mustAccept.length > 0
  const risky = plan.mode === 'transaction'
  const ready = (accept || !mustAccept) && (!risky || typed === wanted.keyring)
  return (
    <>
      <PlanView plan={plan} />
      {mustAccept ? (
        <Check
          label="Go on: what does not open is set aside"
          note="It stays as it is, is listed with its row and a reason, and is never overwritten."
          checked={accept}
          onChecked={setAccept}
        />
      ) : null}
      {risky ? <TypeName name={wanted.keyring} typed={typed} onTyped={setTyped} /> : null}
      <Refusal error={starting.error} />
      <DialogActions>
        <Button onClick={onClose}>Leave everything as it is</Button>
        <Button
          kind="primary"
          disabled={!ready}
          busy={starting.isPending}
          onClick={() => starting.mutate({ ...wanted, accept, plan: plan.wire, once })}
        >
          Rotate about {counted(plan.values, 'value')}
        </Button>
      </DialogActions>
    </>
  )
}
