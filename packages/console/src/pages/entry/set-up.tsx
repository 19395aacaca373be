import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useEffect, useState } from 'react'
import { getSession, setUp } from '../../api/session.ts'
import type { Session } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Input } from '../../parts/inputs.tsx'
import { Empty, Refusal } from '../../parts/states.tsx'

const leastPassword = 12

// Asked for once, when the page is loaded: what takes it out of the address runs later.
const linked = decodeURIComponent(location.hash.slice(1))

/** Makes the first administrator. Only with the link that the server printed when it started. */
export function SetUp({ onEnter }: { onEnter: (session: Session) => void }) {
  const [token] = useState(linked)
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  useEffect(() => {
    document.title = 'Set up · Keyturn'
    // The token must not stay in the history of the browser.
    if (location.hash !== '') history.replaceState(history.state, '', location.pathname)
  }, [])
  const making = useMutation({ mutationFn: setUp, onSuccess: async () => onEnter(await getSession()) })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    making.mutate({ token, name, password })
  }
  const short = password !== '' && password.length < leastPassword
  return (
    <div className="space-y-5">
      <h1 className="text-title font-semibold tracking-[-0.015em]">Set up Keyturn</h1>
      {token === '' ? (
        <Empty title="Open the link that the server printed">
          It printed a one-time link when it started for the first time. It stands in its log or its terminal and ends in{' '}
          <code>/setup#…</code>
        </Empty>
      ) : (
        <form onSubmit={submit} className="space-y-5">
          <p className="text-soft">You will be the first administrator. The link that brought you here ends with this.</p>
          <Input label="Name" value={name} onText={setName} autoComplete="username" required spellCheck={false} autoCapitalize="none" />
          <Input
            label="Password"
            type="password"
            value={password}
            onText={setPassword}
            autoComplete="new-password"
            required
            minLength={leastPassword}
            wrong={short ? `At least ${leastPassword} characters: ${leastPassword - password.length} more.` : null}
            hint={`At least ${leastPassword} characters. A sentence is easier to remember than a word.`}
          />
          <Refusal error={making.error} />
          <Button type="submit" kind="primary" busy={making.isPending}>
            Make the first administrator
          </Button>
        </form>
      )}
    </div>
  )
}
