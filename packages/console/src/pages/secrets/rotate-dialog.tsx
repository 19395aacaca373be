import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { asProblem } from '../../api/problem.ts'
import { intention } from '../../api/request.ts'
import { planSecret, rotateSecret } from '../../api/secrets.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { Check, PasswordAgain, TypeName } from '../../parts/inputs.tsx'
import { Loaded, Refusal } from '../../parts/states.tsx'
import { queries } from '../../queries.ts'
import type { SecretPlan } from '../../secret.ts'
import { SecretPlanView } from './plan-view.tsx'

interface RotateProps {
  readonly name: string
  readonly open: boolean
  /** It is known to others: offered as such from the beginning. */
  readonly leaked?: boolean
  readonly onClose: () => void
  readonly onBegun: (runId: string) => void
}

/** Looks at the plan, and rotates. */
export function RotateSecretDialog(props: RotateProps) {
  const { name, open, onClose } = props
  const about = 'The plan asks the issuer, the stores, the targets and the gates whether it could be done. Nothing is changed for it.'
  return (
    <Dialog open={open} onClose={onClose} title={`Rotate ${name}`} about={about}>
      {open ? <Planned {...props} /> : null}
    </Dialog>
  )
}

function Planned(props: RotateProps) {
  const { name, onClose } = props
  const plan = useQuery({
    queryKey: ['secrets', 'plan', name],
    queryFn: () => planSecret(name),
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
  })
  if (plan.data !== undefined) return <Rotating {...props} plan={plan.data} />
  return (
    <>
      <Loaded of={plan} what="plan">
        {() => null}
      </Loaded>
      <DialogActions>
        <Button onClick={onClose}>Not now</Button>
      </DialogActions>
    </>
  )
}

function Rotating({ name, plan, leaked: isLeaked = false, onClose, onBegun }: RotateProps & { plan: SecretPlan }) {
  const [leaked, setLeaked] = useState(isLeaked)
  const [typed, setTyped] = useState('')
  const [password, setPassword] = useState('')
  const [once, setOnce] = useState(intention)
  const client = useQueryClient()
  const rotating = useMutation({
    mutationFn: rotateSecret,
    // What was typed is in no cache.
    gcTime: 0,
    onSuccess: async (run) => {
      client.setQueryData(queries.run(run.id).queryKey, run)
      onBegun(run.id)
      await client.invalidateQueries({ queryKey: ['secrets'] })
    },
    onError: (error) => {
      setPassword('')
      // A refusal is answered again to the same key. Where nothing was answered it may have begun, and is not begun twice.
      if (asProblem(error).status > 0) setOnce(intention())
    },
  })
  const sound = plan.findings.every(({ severity }) => severity !== 'fault')
  return (
    <>
      <SecretPlanView plan={plan} />
      <Check
        label="It may be known to others"
        note="There is no time in which both work: the old one is revoked as soon as the new one is in use. Those who are to hear of leaks are told."
        checked={leaked}
        onChecked={setLeaked}
      />
      {leaked ? (
        <>
          <TypeName name={name} typed={typed} onTyped={setTyped} />
          <PasswordAgain password={password} onPassword={setPassword} />
        </>
      ) : null}
      <Refusal error={rotating.error} />
      <DialogActions>
        <Button onClick={onClose}>Not now</Button>
        <Button
          kind={leaked ? 'danger' : 'primary'}
          disabled={!sound || (leaked && typed !== name)}
          busy={rotating.isPending}
          // With other words it is another intention: the same key would be refused with another body.
          onClick={() =>
            rotating.mutate(
              leaked ? { name, once: `${once}-leaked`, leaked, confirm: typed, ...(password === '' ? {} : { password }) } : { name, once },
            )
          }
        >
          {leaked ? 'Rotate it without a grace' : 'Rotate it'}
        </Button>
      </DialogActions>
    </>
  )
}
