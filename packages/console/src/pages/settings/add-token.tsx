import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { addToken } from '../../api/people.ts'
import type { Role } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { Input, Select } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'
import { roles } from './roles.ts'

const lives = [
  ['30', '30 days'],
  ['90', '90 days'],
  ['365', 'a year'],
  ['never', 'without an end'],
] as const
type Life = (typeof lives)[number][0]

const dayMs = 86_400_000
const endOf = (life: Life): string | null => (life === 'never' ? null : new Date(Date.now() + Number(life) * dayMs).toISOString())

/** A new token. Its secret is shown once, here. */
export function AddToken() {
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const [life, setLife] = useState<Life>('90')
  const client = useQueryClient()
  const adding = useMutation({ mutationFn: addToken, onSuccess: () => client.invalidateQueries({ queryKey: ['tokens'] }) })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    adding.mutate({ name, role, expiresAt: endOf(life) })
  }
  const close = () => {
    // Forgotten here as well: it stands nowhere any more.
    adding.reset()
    setName('')
  }
  return (
    <form onSubmit={submit} className="max-w-[26rem] space-y-4">
      <Input
        label="Name"
        required
        value={name}
        onText={setName}
        autoComplete="off"
        spellCheck={false}
        hint="What uses it: ci, backup-script."
      />
      <Select<Role> label="Role" value={role} options={roles} onValue={setRole} />
      <Select<Life> label="Lasts" value={life} options={lives} onValue={setLife} />
      <Refusal error={adding.error} />
      <Button type="submit" busy={adding.isPending}>
        Make the token
      </Button>
      <Dialog
        open={adding.data !== undefined}
        onClose={close}
        title="The secret of the token"
        about="It is shown this once. Keyturn keeps only its hash, and nobody can show it again."
      >
        {adding.data === undefined ? null : <Secret secret={adding.data.secret} onClose={close} />}
      </Dialog>
    </form>
  )
}

function Secret({ secret, onClose }: { secret: string; onClose: () => void }) {
  const [copied, setCopied] = useState('')
  const copy = () =>
    navigator.clipboard.writeText(secret).then(
      () => setCopied('Copied.'),
      () => setCopied('The browser does not allow it: select the secret and copy it.'),
    )
  return (
    <>
      <code className="block border border-edge bg-sunk p-3 select-all">{secret}</code>
      <p role="status" className="text-fine text-soft">
        {copied}
      </p>
      <DialogActions>
        {'clipboard' in navigator ? <Button onClick={() => void copy()}>Copy</Button> : null}
        <Button kind="primary" onClick={onClose}>
          I have kept it
        </Button>
      </DialogActions>
    </>
  )
}
