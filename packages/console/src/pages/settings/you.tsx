import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { changePassword, logOut } from '../../api/session.ts'
import { Button } from '../../parts/button.tsx'
import { Input } from '../../parts/inputs.tsx'
import { Row } from '../../parts/page.tsx'
import { Refusal } from '../../parts/states.tsx'
import { useSession, useUser } from '../../session.tsx'

/** Who is logged in, and how to end it everywhere. */
export function You() {
  const { name, role } = useUser()
  const { forget } = useSession()
  const leaving = useMutation({ mutationFn: () => logOut({ everywhere: true }), onSuccess: forget })
  return (
    <>
      <Row title="Your sessions" note={`${name}, ${role}`}>
        <p className="mb-4 max-w-[44rem] text-soft">
          If you left a browser logged in somewhere, or are not sure: this ends every session of yours at once, this one too. Tokens stay.
        </p>
        <Button onClick={() => leaving.mutate()} busy={leaving.isPending}>
          Log out everywhere
        </Button>
        <Refusal error={leaving.error} />
      </Row>
      <Row title="Your password" note="Your other sessions end.">
        <Password />
      </Row>
    </>
  )
}

const blank = { password: '', newPassword: '' }

function Password() {
  const [draft, setDraft] = useState(blank)
  const changing = useMutation({ mutationFn: changePassword, onSuccess: () => setDraft(blank) })
  const submit = (event: FormEvent) => {
    event.preventDefault()
    changing.mutate(draft)
  }
  return (
    <form onSubmit={submit} className="max-w-[26rem] space-y-4">
      <Input
        label="The password that you have"
        type="password"
        required
        value={draft.password}
        onText={(password) => setDraft({ ...draft, password })}
        autoComplete="current-password"
      />
      <Input
        label="The new one"
        type="password"
        required
        minLength={12}
        value={draft.newPassword}
        onText={(newPassword) => setDraft({ ...draft, newPassword })}
        autoComplete="new-password"
        hint="At least 12 characters."
      />
      <Refusal error={changing.error} />
      <Button type="submit" busy={changing.isPending}>
        Change the password
      </Button>
      {changing.isSuccess && draft.newPassword === '' ? <p role="status">Changed.</p> : null}
    </form>
  )
}
