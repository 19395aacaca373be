import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { changeUser, removeUser } from '../../api/people.ts'
import type { Role } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { Select, TypeName } from '../../parts/inputs.tsx'
import { Row } from '../../parts/page.tsx'
import { Loaded, Refusal } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import type { User } from '../../record.ts'
import { useUser } from '../../session.tsx'
import { AddUser } from './add-user.tsx'
import { ByApplication, isAbsent } from './by-application.tsx'

const names = ['viewer', 'operator', 'admin'].map((role) => [role as Role, role] as const)

/** People who may log in. */
export function Users() {
  const users = useQuery(queries.users())
  if (isAbsent(users.error)) return <ByApplication title="Users" />
  return (
    <>
      <Row title="Users">
        <Loaded of={users} what="users">
          {(all) => <List all={all} />}
        </Loaded>
      </Row>
      <Row title="Add a user" note="Tell the password by another way than the name.">
        <AddUser />
      </Row>
    </>
  )
}

function List({ all }: { all: readonly User[] }) {
  const client = useQueryClient()
  const self = useUser()
  const [leaving, setLeaving] = useState<User | null>(null)
  const changing = useMutation({ mutationFn: changeUser, onSettled: () => client.invalidateQueries({ queryKey: ['users'] }) })
  return (
    <>
      <Table
        controls
        caption="Users"
        rows={all}
        keyOf={({ id }) => id}
        columns={[
          { name: 'Name', cell: ({ id, name }) => <span className="font-semibold">{id === self.id ? `${name} (you)` : name}</span> },
          {
            name: 'Role',
            cell: ({ id, name, role }) => (
              <Select<Role>
                hidden
                label={`Role of ${name}`}
                value={role}
                options={names}
                onValue={(to) => changing.mutate({ id, role: to })}
              />
            ),
          },
          { name: 'Since', cell: ({ createdAt }) => <When at={createdAt} /> },
          { name: 'Last seen', cell: ({ lastSeenAt }) => <When at={lastSeenAt} /> },
          {
            name: 'Remove',
            unnamed: true,
            cell: (user) => (
              <Button kind="quiet" aria-label={`Remove ${user.name}…`} onClick={() => setLeaving(user)}>
                Remove…
              </Button>
            ),
          },
        ]}
      />
      <div className="mt-4">
        <Refusal error={changing.error} />
      </div>
      <RemoveDialog user={leaving} onClose={() => setLeaving(null)} />
    </>
  )
}

function RemoveDialog({ user, onClose }: { user: User | null; onClose: () => void }) {
  const [typed, setTyped] = useState('')
  const client = useQueryClient()
  const close = () => {
    setTyped('')
    removing.reset()
    onClose()
  }
  const removing = useMutation({
    mutationFn: removeUser,
    onSuccess: async () => {
      close()
      await client.invalidateQueries({ queryKey: ['users'] })
    },
  })
  return (
    <Dialog
      kind="danger"
      open={user !== null}
      onClose={close}
      title={`Remove ${user?.name ?? ''}`}
      about="Their sessions end at once. What they did stays on record under their name."
    >
      <TypeName name={user?.name ?? ''} typed={typed} onTyped={setTyped} />
      <Refusal error={removing.error} />
      <DialogActions>
        <Button onClick={close}>Keep them</Button>
        <Button kind="danger" disabled={typed !== user?.name} busy={removing.isPending} onClick={() => user && removing.mutate(user.id)}>
          Remove
        </Button>
      </DialogActions>
    </Dialog>
  )
}
