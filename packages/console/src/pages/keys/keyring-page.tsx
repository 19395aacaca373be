import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import type { Keyring, KeyVersion } from '../../domain.ts'
import { Button } from '../../parts/button.tsx'
import { HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { Timeline } from '../../parts/timeline.tsx'
import { queries } from '../../queries.ts'
import { Needs, useMay } from '../../session.tsx'
import { isFinal } from '../../words/states.ts'
import { CensusRow } from './census.tsx'
import { DestroyDialog } from './destroy-dialog.tsx'
import { KeyringFigures } from './figures.tsx'
import { PolicyRow } from './policy.tsx'
import { RetireDialog } from './retire-dialog.tsx'
import { RotateDialog } from './rotate-dialog.tsx'
import { StatesRow } from './states-row.tsx'

const route = getRouteApi('/keys/$name')

/** One keyring: its versions, its values, its policy, and what can be done with it. */
export function KeyringPage() {
  const { name } = route.useParams()
  const keyring = useQuery(queries.keyring(name))
  const [rotating, setRotating] = useState(false)
  return (
    <Page
      title={name}
      above={<Link to="/keys">Keys</Link>}
      actions={keyring.data === undefined ? null : <RotateButton keyring={keyring.data} onRotate={() => setRotating(true)} />}
    >
      <Loaded of={keyring} what="keyring">
        {(known) => (
          <>
            <Ready keyring={known} />
            <RotateDialog keyring={known} open={rotating} onClose={() => setRotating(false)} />
          </>
        )}
      </Loaded>
    </Page>
  )
}

function RotateButton({ keyring, onRotate }: { keyring: Keyring; onRotate: () => void }) {
  const rotations = useQuery(queries.rotations(keyring.name))
  const running = rotations.data?.find((rotation) => !isFinal(rotation))
  if (running !== undefined)
    return (
      <Link to="/rotations/$id" params={{ id: running.id }} className="button" data-kind="primary">
        Watch the rotation
      </Link>
    )
  if (keyring.signs)
    return <p className="max-w-60 text-fine text-soft">Its keys sign tokens: they turn over by the application and its command.</p>
  if (keyring.kind === 'table')
    return <p className="max-w-60 text-fine text-soft">It only decrypts. Rotate the keyring that its fields write.</p>
  return (
    <Needs takes="operator" to="rotate">
      <Button kind="primary" onClick={onRotate}>
        Rotate…
      </Button>
    </Needs>
  )
}

function Ready({ keyring }: { keyring: Keyring }) {
  const [retiring, setRetiring] = useState<KeyVersion | null>(null)
  const [destroying, setDestroying] = useState<KeyVersion | null>(null)
  const [operator, admin] = [useMay('operator'), useMay('admin')]
  const actions = (version: KeyVersion) => (
    <div className="flex flex-wrap items-center justify-end gap-x-4 gap-y-2">
      {version.state === 'destroyed' ? null : (
        <Link to="/leaks" search={{ key: `${keyring.name}/${version.id}` }} className="text-fine">
          If version {version.number} leaked…
        </Link>
      )}
      {change(version)}
    </div>
  )
  const change = (version: KeyVersion) => {
    if (version.state === 'retiring' && operator && keyring.kind === 'stored' && !keyring.signs)
      return <Button onClick={() => setRetiring(version)}>Retire version {version.number}…</Button>
    if (version.state === 'retired' && admin)
      return (
        <Button kind="danger" onClick={() => setDestroying(version)}>
          Destroy version {version.number}…
        </Button>
      )
    return null
  }
  return (
    <>
      <KeyringFigures keyring={keyring} />
      <div className="h-8" />
      <Row title="Key versions" note="From the day each was made until today.">
        <Timeline versions={keyring.versions} actions={actions} />
        <div className="mt-4 space-y-1">
          <Needs takes="operator" to="rotate or retire a key">
            {null}
          </Needs>
          <Needs takes="admin" to="destroy a key">
            {null}
          </Needs>
        </div>
      </Row>
      <CensusRow keyring={keyring} />
      <PolicyRow keyring={keyring} />
      <StatesRow />
      <HowItWorks
        steps={[
          'Rotate: a new version becomes active, and every value is rewritten under it. The old version still decrypts.',
          'Retire: what is left is rewritten, the database is told to refuse the old key, and it checks every row. Only then the state changes.',
          'Destroy: the material of a retired key is erased. Restored backups with values under it cannot be read any more.',
        ]}
      />
      <RetireDialog keyring={keyring} version={retiring} onClose={() => setRetiring(null)} />
      <DestroyDialog keyring={keyring} version={destroying} onClose={() => setDestroying(null)} />
    </>
  )
}
