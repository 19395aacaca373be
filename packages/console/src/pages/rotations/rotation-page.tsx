import { getRouteApi, Link } from '@tanstack/react-router'
import type { Connection } from '../../api/live.ts'
import type { Rotation } from '../../domain.ts'
import { Connected } from '../../parts/connected.tsx'
import { HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import { isFinal, rotationStates, standing } from '../../words/states.ts'
import { Actions } from './actions.tsx'
import { CertificateRow } from './certificate.tsx'
import { RotationFigures } from './figures.tsx'
import { type Sample, useLiveRotation } from './live.ts'
import { Announced, Steps, Tables } from './progress.tsx'
import { RateRow } from './rate-row.tsx'
import { SetAsideRow } from './set-aside.tsx'

const route = getRouteApi('/rotations/$id')

/** One rotation, live from its start to its certificate. */
export function RotationPage() {
  const { id } = route.useParams()
  const { found, connection, samples } = useLiveRotation(id)
  const { data } = found
  return (
    <Page
      title={data === undefined ? 'Rotation' : `Rotation of ${data.keyring}`}
      above={<Link to="/rotations">Rotations</Link>}
      actions={data === undefined ? null : <Actions rotation={data} />}
    >
      <Loaded of={found} what="rotation">
        {(rotation) => <Ready rotation={rotation} connection={connection} samples={samples} />}
      </Loaded>
    </Page>
  )
}

function Ready({ rotation, connection, samples }: { rotation: Rotation; connection: Connection; samples: readonly Sample[] }) {
  return (
    <>
      <div className="mb-6 flex flex-wrap items-baseline justify-between gap-x-8 gap-y-2">
        <p className="text-lead">
          <strong className="font-semibold">{rotationStates[rotation.state].says}.</strong> {standing(rotation)}
        </p>
        <Connected is={connection} />
      </div>
      <RotationFigures rotation={rotation} />
      <Announced rotation={rotation} />
      <div className="h-8" />
      <Row title="Progress">
        <Steps rotation={rotation} />
        <Tables rotation={rotation} />
      </Row>
      {isFinal(rotation) || samples.length < 2 ? null : <RateRow samples={samples} />}
      <SetAsideRow rotation={rotation} />
      {rotation.state === 'completed' ? <CertificateRow rotation={rotation} /> : null}
      <Row title="This run">
        <Facts rotation={rotation} />
      </Row>
      <HowItWorks
        steps={[
          'Pause finishes the batch that is being written, and stops. Resume goes on from there, in any process.',
          'Cancel ends it. What is rewritten stays so, what is not stays under the old key: every value opens.',
          'If the server is stopped, this page says that it is reconnecting and shows what it saw last. Another process, or the same one, goes on with it.',
        ]}
      />
    </>
  )
}

function Facts({ rotation: { id, mode, createdAt, endedAt, startedBy, fields, pass } }: { rotation: Rotation }) {
  const facts = [
    ['Run', <code key="id">{id}</code>],
    ['Mode', mode === 'online' ? 'online: the application goes on reading and writing' : 'transaction: all or nothing'],
    ['Started', <When key="at" at={createdAt} />],
    ['By', startedBy ?? 'unknown'],
    ['Ended', <When key="end" at={endedAt} never="not yet" />],
    ['Pass', String(pass)],
    ['Fields', fields.join(', ')],
  ] as const
  return (
    <dl className="grid grid-cols-[6rem_minmax(0,1fr)] gap-x-4 gap-y-1.5">
      {facts.map(([name, value]) => (
        <div key={name} className="col-span-2 grid grid-cols-subgrid">
          <dt className="text-soft">{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
