import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { release, turn } from '../../api/rotations.ts'
import type { Rotation } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { TypeName } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'
import { queries } from '../../queries.ts'
import { Needs } from '../../session.tsx'
import { isFinal } from '../../words/states.ts'

/** What can be done with a rotation in its state. */
export function Actions({ rotation }: { rotation: Rotation }) {
  const { id, state, live, mode, requested } = rotation
  const client = useQueryClient()
  const [cancelling, setCancelling] = useState(false)
  const turning = useMutation({
    mutationFn: turn,
    onSuccess: (now) => client.setQueryData(queries.rotation(id).queryKey, now),
  })
  const releasing = useMutation({ mutationFn: release })
  const done = isFinal(rotation)
  const resumable = state === 'paused' || state === 'waiting' || (!done && !live)
  if (done && !(mode === 'transaction' && state === 'completed')) return null
  return (
    <div className="space-y-2">
      <Needs takes="operator" to="pause, resume or cancel it">
        <div className="flex flex-wrap gap-2">
          {done ? (
            <Button busy={releasing.isPending} onClick={() => releasing.mutate(id)}>
              Release its hold
            </Button>
          ) : null}
          {!done && state !== 'paused' ? (
            <Button busy={requested === 'pause' || turning.isPending} onClick={() => turning.mutate({ id, verb: 'pause' })}>
              Pause
            </Button>
          ) : null}
          {resumable ? (
            <Button kind="primary" busy={turning.isPending} onClick={() => turning.mutate({ id, verb: 'resume' })}>
              Resume
            </Button>
          ) : null}
          {done ? null : (
            <Button kind="danger" onClick={() => setCancelling(true)}>
              Cancel…
            </Button>
          )}
        </div>
      </Needs>
      <Refusal error={turning.error ?? releasing.error} />
      {releasing.data === undefined ? null : <p role="status">{released(releasing.data.tables)}</p>}
      <CancelDialog rotation={rotation} open={cancelling} onClose={() => setCancelling(false)} />
    </div>
  )
}

const released = (tables: readonly string[]): string =>
  tables.length === 0 ? 'There was no hold.' : `The hold is gone: ${tables.join(', ')} can be written again.`

function CancelDialog({ rotation: { id, keyring }, open, onClose }: { rotation: Rotation; open: boolean; onClose: () => void }) {
  const [typed, setTyped] = useState('')
  const client = useQueryClient()
  const cancelling = useMutation({
    mutationFn: turn,
    onSuccess: (now) => {
      client.setQueryData(queries.rotation(id).queryKey, now)
      onClose()
    },
  })
  return (
    <Dialog
      kind="danger"
      open={open}
      onClose={onClose}
      title={`Cancel the rotation of ${keyring}`}
      about="What is rewritten stays so; the rest stays under the old key. Every value opens, and a later rotation rewrites what is left."
    >
      <TypeName name={keyring} typed={typed} onTyped={setTyped} />
      <Refusal error={cancelling.error} />
      <DialogActions>
        <Button onClick={onClose}>Let it go on</Button>
        <Button
          kind="danger"
          disabled={typed !== keyring}
          busy={cancelling.isPending}
          onClick={() => cancelling.mutate({ id, verb: 'cancel' })}
        >
          Cancel the rotation
        </Button>
      </DialogActions>
    </Dialog>
  )
}
