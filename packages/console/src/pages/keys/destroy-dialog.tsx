import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { destroy } from '../../api/keyrings.ts'
import type { Keyring, KeyVersion } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { Check, PasswordAgain, TypeName } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'

interface DestroyProps {
  readonly keyring: Keyring
  readonly version: KeyVersion | null
  readonly onClose: () => void
}

/** Erases a key. It cannot be taken back, so it asks for the name and for the password again. */
export function DestroyDialog({ keyring, version, onClose }: DestroyProps) {
  return (
    <Dialog
      kind="danger"
      open={version !== null}
      onClose={onClose}
      title={`Destroy version ${version?.number ?? ''} of ${keyring.name}`}
      about="Its material is erased, for good. What is still under it, in a backup or a copy, can never be read again."
    >
      {version === null ? null : <Destroying key={version.id} keyring={keyring} version={version} onClose={onClose} />}
    </Dialog>
  )
}

function Destroying({ keyring: { name }, version: { id, number }, onClose }: DestroyProps & { version: KeyVersion }) {
  const [typed, setTyped] = useState('')
  const [password, setPassword] = useState('')
  const [now, setNow] = useState(false)
  const client = useQueryClient()
  const destroying = useMutation({
    mutationFn: destroy,
    onSuccess: async () => {
      onClose()
      await client.invalidateQueries()
    },
    onError: () => setPassword(''),
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    destroying.mutate({ name, id, password, now })
  }
  return (
    <form onSubmit={submit} className="space-y-5">
      <TypeName name={name} typed={typed} onTyped={setTyped} />
      <PasswordAgain password={password} onPassword={setPassword} />
      <Check
        label="Do not wait for the backup horizon"
        note="Unless you say so, it is refused while backups may exist that need this key."
        checked={now}
        onChecked={setNow}
      />
      <Refusal error={destroying.error} />
      <DialogActions>
        <Button onClick={onClose}>Keep it</Button>
        <Button type="submit" kind="danger" disabled={typed !== name} busy={destroying.isPending}>
          Destroy version {number}
        </Button>
      </DialogActions>
    </form>
  )
}
