import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { Button } from '../../parts/button.tsx'
import { Figure, Figures, HowItWorks, Page, Row } from '../../parts/page.tsx'
import { Loaded } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import type { Secret } from '../../secret.ts'
import { Needs } from '../../session.tsx'
import { Due } from './due-line.tsx'
import { History } from './history.tsx'
import { Picture } from './picture.tsx'
import { SecretPolicy } from './policy.tsx'
import { RotateSecretDialog } from './rotate-dialog.tsx'
import { RunRow } from './run-row.tsx'
import { Standing } from './secrets.tsx'

const route = getRouteApi('/secrets/$name')

/** Which run is looked at: the one that goes on, or the latest, unless the address names one. */
export const runSearch = ({ run }: Record<string, unknown>): { run?: string } =>
  typeof run === 'string' && run.length < 200 ? { run } : {}

/** One secret: where it is used, its rotation live, what somebody must do, and its history. */
export function SecretPage() {
  const { name } = route.useParams()
  const search = route.useSearch()
  const navigate = useNavigate()
  const found = useQuery(queries.secret(name))
  const runs = useQuery(queries.runs(name))
  const [rotating, setRotating] = useState(false)
  const shown = search.run ?? found.data?.run?.id ?? runs.data?.[0]?.id ?? null
  const begun = (run: string) => {
    setRotating(false)
    void navigate({ to: '/secrets/$name', params: { name }, search: { run } })
  }
  return (
    <Page
      title={name}
      above={<Link to="/secrets">Secrets</Link>}
      actions={
        found.data === undefined ? null : (
          <>
            <Link to="/leaks" search={{ secret: name }} className="button">
              If it leaked…
            </Link>
            {found.data.run !== null ? null : (
              <Needs takes="operator" to="rotate it">
                <Button kind="primary" onClick={() => setRotating(true)}>
                  Rotate…
                </Button>
              </Needs>
            )}
          </>
        )
      }
    >
      <Loaded of={found} what="secret">
        {(secret) => (
          <>
            <Numbers secret={secret} />
            <div className="h-8" />
            {shown === null ? null : <RunRow key={shown} id={shown} />}
            <Row title="Where it is used" note="In the order in which a rotation goes through it.">
              <Picture secret={secret} />
            </Row>
            <SecretPolicy secret={secret} />
            <History name={name} shown={shown} />
          </>
        )}
      </Loaded>
      <HowItWorks
        steps={[
          'Rotate shows the plan first: what would be called, and what is wrong with it.',
          'Until the old credential is being revoked, the rotation can be taken back: the stores get the old one again, and the new one is ended.',
          'Revoke ends the time in which both work. It cannot be undone, and asks for your password.',
          'If the server is stopped, another one goes on, or the same one when it is back.',
        ]}
      />
      <RotateSecretDialog name={name} open={rotating} onClose={() => setRotating(false)} onBegun={begun} />
    </Page>
  )
}

const Numbers = ({ secret }: { secret: Secret }) => (
  <Figures>
    <Figure label="State">
      <Standing secret={secret} />
    </Figure>
    <Figure label="Due">
      <Due secret={secret} />
    </Figure>
    <Figure label="In use since" note={secret.credentialId === null ? 'its issuer gives it no id' : <code>{secret.credentialId}</code>}>
      <When at={secret.since} never="not known" />
    </Figure>
  </Figures>
)
