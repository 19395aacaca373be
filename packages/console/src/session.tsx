import { useQuery, useQueryClient } from '@tanstack/react-query'
import { createContext, type ReactNode, useContext } from 'react'
import type { Role, Session } from './domain.ts'
import { forgetSession, queries } from './queries.ts'

type User = NonNullable<Session['user']>
const Here = createContext<User | null>(null)

/** Says to everything inside who looks at it. */
export const SessionProvider = ({ user, children }: { user: User; children: ReactNode }) => <Here value={user}>{children}</Here>

/** Who looks at the page. Only inside the frame, where somebody is logged in. */
export function useUser(): User {
  const user = useContext(Here)
  if (user === null) throw new Error('nobody is logged in')
  return user
}

const order: readonly Role[] = ['viewer', 'operator', 'admin']

/** Whether the user may do what needs a role. */
export const useMay = (needed: Role): boolean => order.indexOf(useUser().role) >= order.indexOf(needed)

/** The session as the server sees it, and how to forget it. */
export function useSession() {
  const client = useQueryClient()
  const { data, error, isPending, refetch } = useQuery(queries.session())
  const enter = (session: Session) => {
    client.setQueryData(queries.session().queryKey, session)
  }
  return { session: data ?? null, error, isPending, refetch, enter, forget: () => forgetSession(client) }
}

/** Why something is not offered to this user: said in the place where it would be. */
export function Needs({ takes, to, children }: { takes: Role; to: string; children: ReactNode }) {
  const may = useMay(takes)
  const { role } = useUser()
  if (may) return children
  return (
    <p className="text-fine text-soft">
      To {to} takes the role {takes}. Yours is {role}.
    </p>
  )
}
