import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useEffect, useState } from 'react'
import { getSession, logIn } from '../../api/session.ts'
import type { Session } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Input } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'

/** Asks who is there. It says nothing of which of the two was wrong. */
export function LogIn({ onEnter }: { onEnter: (session: Session) => void }) {
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const entering = useMutation({
    mutationFn: logIn,
    onSuccess: async () => onEnter(await getSession()),
    onError: () => setPassword(''),
  })
  useEffect(() => {
    document.title = 'Log in · Keyturn'
  }, [])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    entering.mutate({ name, password })
  }
  return (
    <form onSubmit={submit} className="space-y-5">
      <h1 className="text-title font-semibold tracking-[-0.015em]">Log in</h1>
      <Input label="Name" value={name} onText={setName} autoComplete="username" required spellCheck={false} autoCapitalize="none" />
      <Input label="Password" type="password" value={password} onText={setPassword} autoComplete="current-password" required />
      <Refusal error={entering.error} />
      <Button type="submit" kind="primary" busy={entering.isPending}>
        Log in
      </Button>
    </form>
  )
}
