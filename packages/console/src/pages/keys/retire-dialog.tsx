import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { retire } from '../../api/keyrings.ts'
import { asProblem, Problem } from '../../api/problem.ts'
import { intention } from '../../api/request.ts'
import type { Keyring, KeyVersion } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { Dialog, DialogActions } from '../../parts/dialog.tsx'
import { Input } from '../../parts/inputs.tsx'
import { Refusal } from '../../parts/states.tsx'
import { queries } from '../../queries.ts'

interface RetireProps {
  readonly keyring: Keyring
  readonly version: KeyVersion | null
  readonly onClose: () => void
}

/** Retires a key: by proof only, which takes its time and is watched here. */
export function RetireDialog({ keyring, version, onClose }: RetireProps) {
  return (
    <Dialog
      open={version !== null}
      onClose={onClose}
      title={`Retire version ${version?.number ?? ''} of ${keyring.name}`}
      about="The database will refuse this key from now on, and check that no row holds it. Values stay readable; restored backups, too."
    >
      {version === null ? null : <Retiring key={version.id} keyring={keyring} version={version} onClose={onClose} />}
    </Dialog>
  )
}

function Retiring({ keyring: { name }, version: { id, number }, onClose }: RetireProps & { version: KeyVersion }) {
  const [once, setOnce] = useState(intention)
  const [aside, setAside] = useState('')
  const client = useQueryClient()
  const starting = useMutation({ mutationFn: retire, onMutate: () => setOnce(intention()) })
  const started = starting.data?.id ?? null
  const { data: work } = useQuery({ ...queries.operation(started ?? ''), enabled: started !== null })
  useEffect(() => {
    if (work?.state === 'done') void client.invalidateQueries()
  }, [work?.state, client])
  const refused = work?.problem ? new Problem({ ...work.problem, status: 409 }) : starting.error
  const names = refused !== null && asProblem(refused).code === 'ERR_SET_ASIDE'
  const running = starting.isPending || (started !== null && work?.state !== 'done' && work?.state !== 'failed')
  const start = () => starting.mutate({ name, id, acceptSetAside: aside === '' ? null : Number(aside), once })
  if (work?.state === 'done')
    return (
      <>
        <p role="status" className="text-lead">
          Version {number} is retired. The database refuses it and has checked every row.
        </p>
        <DialogActions>
          <Button kind="primary" onClick={onClose}>
            Done
          </Button>
        </DialogActions>
      </>
    )
  return (
    <>
      <p role="status">{running ? 'Rewriting what is left, then checking every row. You may close this: it goes on.' : ''}</p>
      <Refusal error={refused} />
      {names || aside !== '' ? (
        <Input
          label="Values set aside that you accept"
          inputMode="numeric"
          value={aside}
          onText={(text) => setAside(text.replaceAll(/\D/g, ''))}
          hint="The exact number. They stay as they are, exempt from the check, and are listed in the certificate."
        />
      ) : null}
      <DialogActions>
        <Button onClick={onClose}>{running ? 'Close' : 'Leave it as it is'}</Button>
        <Button kind="primary" busy={running} onClick={start}>
          Retire version {number}
        </Button>
      </DialogActions>
    </>
  )
}
