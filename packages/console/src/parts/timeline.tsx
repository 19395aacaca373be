import type { ReactNode } from 'react'
import type { KeyVersion } from '../domain.ts'
import { livesOf, spanOf } from '../words/lives.ts'
import { dayOf } from '../words/times.ts'
import { StateMark } from './state-mark.tsx'
import { When } from './when.tsx'

/** The versions of a keyring on one line of time each: which state they were in, and since when. */
export function Timeline({ versions, actions }: { versions: readonly KeyVersion[]; actions: (version: KeyVersion) => ReactNode }) {
  const now = new Date()
  const span = spanOf(versions, now)
  const at = (time: Date) => ((time.getTime() - span.from) / (span.to - span.from)) * 100
  const dated = versions.some(({ createdAt }) => createdAt !== null)
  return (
    <div>
      {dated ? <Axis from={new Date(span.from)} to={now} /> : null}
      <ol aria-label="Key versions, the newest first">
        {versions.map((version) => (
          <li key={version.id} className="border-b border-line py-4">
            <div className="flex flex-wrap items-baseline gap-x-4 gap-y-1">
              <h3 className="font-semibold">Version {version.number}</h3>
              <StateMark state={version.state} compromised={version.compromised} />
              <code className="text-soft">{version.id}</code>
              <div className="ml-auto">{actions(version)}</div>
            </div>
            {dated ? (
              <div className="track mt-2" aria-hidden="true">
                {livesOf(version, versions).map(({ state, from, to }) => (
                  <div
                    key={state}
                    className="fill"
                    data-tone={state}
                    style={{ left: `${at(from)}%`, width: `${at(endOf(version, to, now)) - at(from)}%` }}
                  />
                ))}
              </div>
            ) : null}
            <p className="mt-2 text-fine text-soft">
              <Story version={version} />
            </p>
          </li>
        ))}
      </ol>
    </div>
  )
}

// When a key was destroyed is on record in the audit log; here its line ends where it was retired.
const endOf = ({ state, retiredAt }: KeyVersion, to: Date | null, now: Date): Date =>
  to ?? (state === 'destroyed' ? (retiredAt ?? now) : now)

const Axis = ({ from, to }: { from: Date; to: Date }) => (
  <div className="axis" aria-hidden="true">
    <span>{dayOf(from)}</span>
    <span data-end="true">{dayOf(from) === dayOf(to) ? 'now' : `${dayOf(to)}, now`}</span>
  </div>
)

function Story({ version: { createdAt, activatedAt, activatedBy, retiredAt, messages } }: { version: KeyVersion }) {
  if (createdAt === null) return <>From the environment of the server: Keyturn does not know since when.</>
  return (
    <>
      made <When at={createdAt} />
      {activatedAt === null ? null : (
        <>
          , active <When at={activatedAt} />
        </>
      )}
      {activatedBy === null ? null : <> by {activatedBy}</>}
      {retiredAt === null ? null : (
        <>
          , retired <When at={retiredAt} />
        </>
      )}
      {messages === null ? null : <>, {messages.toLocaleString('en-US')} messages reserved</>}
    </>
  )
}
