import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { endRun, resumeRun } from '../../api/secrets.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { PasswordAgain, TypeName } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'
import { queries } from '../../queries.ts'
import type { Run, RunAction } from '../../secret.ts'
import { Needs } from '../../session.tsx'

type Verb = 'rollback' | 'revoke' | 'cancel'

const questions: Record<
  Verb,
  { readonly button: string; readonly title: (name: string) => string; readonly about: string; readonly no: string; readonly yes: string }
> = {
  rollback: {
    button: 'Take it back…',
    title: (name) => `Take ${name} back`,
    about:
      'The stores get the old credential again, the targets are deployed with it, and the new one is ended. It works until the old one is being revoked.',
    no: 'Let it go on',
    yes: 'Take it back',
  },
  revoke: {
    button: 'Revoke the old one now…',
    title: (name) => `Revoke the old credential of ${name}`,
    about: 'The time in which both work ends now. Whoever still uses the old credential is refused, and nothing takes that back.',
    no: 'Let both work',
    yes: 'Revoke the old one',
  },
  cancel: {
    button: 'Cancel…',
    title: (name) => `Cancel the rotation of ${name}`,
    about: 'Nothing was made yet: the old credential stays in use, as if it had not begun.',
    no: 'Let it go on',
    yes: 'Cancel the rotation',
  },
}
const verbs: readonly Verb[] = ['rollback', 'revoke', 'cancel']

/** What can be done with a run in its state. @param only - of all that, what is offered here */
export function RunActions({ run, only = run.actions }: { run: Run; only?: readonly RunAction[] }) {
  const [asking, setAsking] = useState<Verb | null>(null)
  const client = useQueryClient()
  const resuming = useMutation({ mutationFn: resumeRun, onSuccess: (now) => client.setQueryData(queries.run(run.id).queryKey, now) })
  const may = (action: RunAction) => run.actions.includes(action) && only.includes(action)
  const offered = verbs.filter(may)
  const resumable = may('resume') && run.asks.length === 0
  if (offered.length === 0 && !resumable) return null
  return (
    <div className="space-y-2">
      <Needs takes="operator" to="go on with it, take it back or revoke">
        <div className="flex flex-wrap gap-2">
          {resumable ? (
            <Button
              kind={run.state === 'paused' ? 'primary' : 'plain'}
              busy={resuming.isPending}
              onClick={() => resuming.mutate({ id: run.id })}
            >
              {run.task === null ? 'Try the step now' : 'I have done it'}
            </Button>
          ) : null}
          {offered.map((verb) => (
            <Button key={verb} kind={verb === 'rollback' ? 'plain' : 'danger'} onClick={() => setAsking(verb)}>
              {questions[verb].button}
            </Button>
          ))}
        </div>
      </Needs>
      <Refusal error={resuming.error} />
      <Dialog
        kind="danger"
        open={asking !== null}
        onClose={() => setAsking(null)}
        title={asking === null ? '' : questions[asking].title(run.secret)}
        about={asking === null ? '' : questions[asking].about}
      >
        {asking === null ? null : <Ending key={asking} run={run} verb={asking} onClose={() => setAsking(null)} />}
      </Dialog>
    </div>
  )
}

function Ending({ run: { id, secret }, verb, onClose }: { run: Run; verb: Verb; onClose: () => void }) {
  const [typed, setTyped] = useState('')
  const [password, setPassword] = useState('')
  const client = useQueryClient()
  const ending = useMutation({
    mutationFn: endRun,
    // What was typed is in no cache.
    gcTime: 0,
    onSuccess: async (now) => {
      client.setQueryData(queries.run(id).queryKey, now)
      onClose()
      await client.invalidateQueries({ queryKey: ['secrets'] })
    },
    onError: () => setPassword(''),
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    ending.mutate({ id, verb, confirm: secret, ...(password === '' ? {} : { password }) })
  }
  return (
    <form onSubmit={submit} className="space-y-5">
      <TypeName name={secret} typed={typed} onTyped={setTyped} />
      {verb === 'revoke' ? <PasswordAgain password={password} onPassword={setPassword} /> : null}
      <Refusal error={ending.error} />
      <DialogActions>
        <Button onClick={onClose}>{questions[verb].no}</Button>
        <Button type="submit" kind="danger" disabled={typed !== secret} busy={ending.isPending}>
          {questions[verb].yes}
        </Button>
      </DialogActions>
    </form>
  )
}
