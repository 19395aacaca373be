import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { removeToken } from '../../api/people.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { TypeName } from '../../parts/inputs.tsx'
import { Row } from '../../parts/page.tsx'
import { Empty, Loaded, Refusal } from '../../parts/states.tsx'
import { Table } from '../../parts/table.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import type { Token } from '../../record.ts'
import { AddToken } from './add-token.tsx'
import { ByApplication, isAbsent } from './by-application.tsx'

/** Programs that may use the API. */
export function Tokens() {
  const tokens = useQuery(queries.tokens())
  if (isAbsent(tokens.error)) return <ByApplication title="Tokens" />
  return (
    <>
      <Row title="Tokens" note="For scripts and pipelines.">
        <Loaded of={tokens} what="tokens" empty={{ when: (all) => all.length === 0, say: <None /> }}>
          {(all) => <List all={all} />}
        </Loaded>
      </Row>
      <Row title="Make a token" note="Give it the least role that does, and an end.">
        <AddToken />
      </Row>
    </>
  )
}

const None = () => <Empty title="There is no token">Make one below for each script or pipeline that uses the API.</Empty>

function List({ all }: { all: readonly Token[] }) {
  const [ending, setEnding] = useState<Token | null>(null)
  return (
    <>
      <Table
        controls
        caption="Tokens"
        rows={all}
        keyOf={({ id }) => id}
        columns={[
          { name: 'Name', cell: ({ name }) => <span className="font-semibold">{name}</span> },
          { name: 'Role', cell: ({ role }) => role },
          { name: 'Made', cell: ({ createdAt, createdBy }) => <Made at={createdAt} by={createdBy} /> },
          { name: 'Ends', cell: ({ expiresAt }) => <When at={expiresAt} never="never" /> },
          { name: 'Last used', cell: ({ lastUsedAt }) => <When at={lastUsedAt} /> },
          {
            name: 'End',
            unnamed: true,
            cell: (token) => (
              <Button kind="quiet" aria-label={`End ${token.name}…`} onClick={() => setEnding(token)}>
                End…
              </Button>
            ),
          },
        ]}
      />
      <EndDialog token={ending} onClose={() => setEnding(null)} />
    </>
  )
}

const Made = ({ at, by }: { at: Date; by: string | null }) => (
  <>
    <When at={at} />
    {by === null ? null : <span className="block text-fine text-soft">by {by}</span>}
  </>
)

function EndDialog({ token, onClose }: { token: Token | null; onClose: () => void }) {
  const [typed, setTyped] = useState('')
  const client = useQueryClient()
  const close = () => {
    setTyped('')
    ending.reset()
    onClose()
  }
  const ending = useMutation({
    mutationFn: removeToken,
    onSuccess: async () => {
      close()
      await client.invalidateQueries({ queryKey: ['tokens'] })
    },
  })
  return (
    <Dialog
      kind="danger"
      open={token !== null}
      onClose={close}
      title={`End the token ${token?.name ?? ''}`}
      about="Whatever uses it is refused from now on. It cannot be taken back; a new token has another secret."
    >
      <TypeName name={token?.name ?? ''} typed={typed} onTyped={setTyped} />
      <Refusal error={ending.error} />
      <DialogActions>
        <Button onClick={close}>Keep it</Button>
        <Button kind="danger" disabled={typed !== token?.name} busy={ending.isPending} onClick={() => token && ending.mutate(token.id)}>
          End the token
        </Button>
      </DialogActions>
    </Dialog>
  )
}
