import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { addUser } from '../../api/people.ts'
import type { Role } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Input, Select } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'
import { roles } from './roles.ts'

const blank = { name: '', password: '', role: 'viewer' as Role }

/** A new user, with the least role unless another is chosen. */
export function AddUser() {
  const [draft, setDraft] = useState(blank)
  const client = useQueryClient()
  const adding = useMutation({
    mutationFn: addUser,
    onSuccess: async () => {
      setDraft(blank)
      await client.invalidateQueries({ queryKey: ['users'] })
    },
  })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    adding.mutate(draft)
  }
  return (
    <form onSubmit={submit} className="max-w-[26rem] space-y-4">
      <Input
        label="Name"
        required
        value={draft.name}
        onText={(name) => setDraft({ ...draft, name })}
        autoComplete="off"
        spellCheck={false}
      />
      <Input
        label="First password"
        type="password"
        required
        minLength={12}
        value={draft.password}
        onText={(password) => setDraft({ ...draft, password })}
        autoComplete="new-password"
        hint="At least 12 characters."
      />
      <Select<Role> label="Role" value={draft.role} options={roles} onValue={(role) => setDraft({ ...draft, role })} />
      <Refusal error={adding.error} />
      <Button type="submit" busy={adding.isPending}>
        Add the user
      </Button>
      {adding.isSuccess && draft.name === '' ? <p role="status">Added.</p> : null}
    </form>
  )
}
