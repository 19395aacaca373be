import { useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useState } from 'react'
import type { Leak, LeakAsked } from '../../leak.ts'
import { Figure, Figures, HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Empty, Loaded } from '../../parts/states.tsx'
import { WithTimes } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import { count, counted } from '../../words/numbers.ts'
import type { Doing } from './act.tsx'
import { OpensRow } from './opens.tsx'
import { Questions } from './questions.tsx'
import { RemediesRow } from './remedies.tsx'
import { nameOf } from './search.ts'
import { SubjectForm } from './subject.tsx'

const route = getRouteApi('/leaks')

/** A leak: what whoever has a key or a secret gets at, what mends it, and what is still exposed. */
export function Leaks() {
  const asked = route.useSearch()
  const navigate = route.useNavigate()
  const chosen = asked.key ?? asked.secret
  return (
    <Page
      title={chosen === undefined ? 'A leak' : `A leak of ${chosen}`}
      above={<Link to="/secrets">Secrets</Link>}
      lead="What somebody else gets at with it, what mends that in which order, and what is still exposed. To look changes nothing."
    >
      <Choice key={JSON.stringify(asked)} asked={asked} onAsk={(search) => void navigate({ search })} />
      {chosen === undefined ? null : <Answer key={nameOf(asked)} asked={asked} />}
      <HowItWorks
        steps={[
          'A new key does not mend a leak by itself: what was read is known. The credentials that stood under it are changed where they were issued, the highest risk first.',
          'A secret counts as exposed until a rotation that was begun as the answer to a leak has ended the old credential, and its issuer refuses it.',
          'What is still exposed is asked again while you look, and after each of your actions.',
        ]}
      />
    </Page>
  )
}

function Choice({ asked, onAsk }: { asked: LeakAsked; onAsk: (asked: LeakAsked) => void }) {
  const keyrings = useQuery(queries.keyrings())
  const secrets = useQuery(queries.secrets())
  const nothing = keyrings.data?.length === 0 && secrets.data?.length === 0
  return (
    <Row title="What leaked" note="A key of a keyring, or a secret.">
      <Loaded of={keyrings} what="keyrings">
        {(keys) => (
          <Loaded of={secrets} what="secrets">
            {(known) => (nothing ? <None /> : <SubjectForm asked={asked} keyrings={keys} secrets={known} onAsk={onAsk} />)}
          </Loaded>
        )}
      </Loaded>
    </Row>
  )
}

const None = () => (
  <Empty title="There is nothing that could leak">
    Name a keyring under <code>keyrings</code> or a secret under <code>secrets</code> in <code>keyturn.config.ts</code>, and start the
    server again.
  </Empty>
)

function Answer({ asked }: { asked: LeakAsked }) {
  const found = useQuery(queries.leak(asked))
  const client = useQueryClient()
  // Kept here: what was asked is still answered when its remedy is done and no longer listed.
  const [doing, setDoing] = useState<Doing | null>(null)
  const done = () => {
    setDoing(null)
    void client.invalidateQueries({ queryKey: ['secrets'] })
  }
  return (
    <>
      <Loaded of={found} what="leak">
        {(leak) => (
          <>
            <Numbers leak={leak} />
            <div className="h-8" />
            <ExposedRow leak={leak} />
            <RemediesRow leak={leak} onDo={setDoing} />
            <OpensRow leak={leak} />
            <UnknownRow leak={leak} />
          </>
        )}
      </Loaded>
      <Questions doing={doing} onClose={done} />
    </>
  )
}

const over = 'Nothing is exposed any more, as far as Keyturn can see.'

function Numbers({ leak: { exposed, opens, mends, subject } }: { leak: Leak }) {
  const [worst] = opens
  const secrets = opens.filter(({ what }) => what === 'secret').length
  const fields = opens.filter(({ what }) => what === 'field')
  const values = fields.reduce((sum, each) => sum + (each.values ?? 0), 0)
  return (
    <>
      <p role="status" className="sr-only">
        {exposed.length === 0 ? over : `Still exposed. ${counted(mends.length, 'step')} to mend it.`}
      </p>
      <Figures>
        <Figure label="Now">
          {exposed.length === 0 ? 'nothing exposed' : <strong className="font-semibold text-danger">exposed</strong>}
        </Figure>
        <Figure label="Highest risk">{worst?.risk ?? 'none'}</Figure>
        {subject.kind === 'key' ? (
          <>
            {fields.length === 0 ? null : (
              <Figure label="Values under it">{fields.every((each) => each.values === null) ? 'not counted' : count(values)}</Figure>
            )}
            <Figure label="Secrets under it">{secrets}</Figure>
          </>
        ) : null}
        <Figure label="To be done">{mends.length === 0 ? 'nothing' : counted(mends.length, 'step')}</Figure>
      </Figures>
    </>
  )
}

const ExposedRow = ({ leak: { exposed } }: { leak: Leak }) => (
  <Row title="Still exposed" note="Of use to others today. Asked again every few seconds.">
    {exposed.length === 0 ? <p className="text-lead">{over}</p> : <Sentences of={exposed} named="Still exposed" danger />}
  </Row>
)

const UnknownRow = ({ leak: { unknown } }: { leak: Leak }) =>
  unknown.length === 0 ? null : (
    <Row title="What Keyturn cannot see" note="Somebody must look at it.">
      <Sentences of={unknown} named="What Keyturn cannot see" />
    </Row>
  )

const Sentences = ({ of, named, danger = false }: { of: readonly string[]; named: string; danger?: boolean }) => (
  <ul aria-label={named} className="sentences" data-tone={danger ? 'danger' : undefined}>
    {of.map((sentence) => (
      <li key={sentence}>
        {/* As it came: it may begin with a name. */}
        <WithTimes text={sentence} />
      </li>
    ))}
  </ul>
)
