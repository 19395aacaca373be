import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Census, Keyring } from '../../domain.ts'
import { KeyBar } from '../../parts/bar.tsx'
import { Page, Row } from '../../parts/page.tsx'
import { Empty, Loaded } from '../../parts/states.tsx'
import { When } from '../../parts/when.tsx'
import { queries } from '../../queries.ts'
import { counted } from '../../words/numbers.ts'
import { segmentsOf } from '../../words/segments.ts'
import { DueRow } from './due.tsx'
import { NeedsYou } from './needs-you.tsx'
import { RunningRow } from './running.tsx'

/** What needs somebody now, what stands under which key, what runs and what is due. */
export function Overview() {
  const keyrings = useQuery(queries.keyrings())
  const rotations = useQuery(queries.rotations())
  const census = useQuery(queries.census())
  const secrets = useQuery(queries.secrets())
  return (
    <Page title="Overview">
      <NeedsYou keyrings={keyrings} rotations={rotations} secrets={secrets} />
      <Row title="Values by key" note="One bar for each keyring, as wide as all its values.">
        <Loaded of={keyrings} what="keyrings" empty={{ when: (all) => all.length === 0, say: <NoKeyrings /> }}>
          {(all) => (
            <ul className="space-y-8">
              {all.map((keyring) => (
                <li key={keyring.name}>
                  <Values keyring={keyring} census={census.data?.find((each) => each.keyring === keyring.name) ?? null} />
                </li>
              ))}
            </ul>
          )}
        </Loaded>
      </Row>
      <RunningRow rotations={rotations} />
      <DueRow keyrings={keyrings} />
    </Page>
  )
}

function Values({ keyring, census }: { keyring: Keyring; census: Census | null }) {
  const { name, signs, active, counts } = keyring
  const segments = segmentsOf(census?.fields ?? [], keyring.versions)
  return (
    <>
      <div className="mb-2 flex flex-wrap items-baseline justify-between gap-x-6">
        <h3>
          <Link to="/keys/$name" params={{ name }} className="text-lead font-semibold">
            {name}
          </Link>
          <span className="ml-3 text-fine text-soft">{active === null ? 'no active key yet' : `version ${active.number} is active`}</span>
        </h3>
        {counts === null ? null : (
          <p className="text-fine text-soft">
            {counted(counts.total, 'value')}, counted <When at={counts.at} />
          </p>
        )}
      </div>
      {segments.length > 0 ? <KeyBar segments={segments} of={name} /> : <p className="text-soft">{unknown(keyring, signs)}</p>}
    </>
  )
}

function unknown({ counts, fields }: Keyring, signs: boolean): string {
  if (signs) return 'Its keys sign tokens. There are no values under them.'
  if (fields.length === 0) return 'No field uses this keyring.'
  return counts === null ? 'Not counted yet. Count its values on its page.' : 'There are no values yet.'
}

const NoKeyrings = () => (
  <Empty title="There is no keyring yet">
    Name one under <code>keyrings</code> in <code>keyturn.config.ts</code>, give its fields, and start the server again.{' '}
    <code>keyturn init</code> writes a configuration to begin with.
  </Empty>
)
