import type { Keyring } from '../../domain.ts'
import { Row } from '../../parts/page.tsx'
import { When } from '../../parts/when.tsx'
import { lasting } from '../../words/times.ts'

const says: Record<Keyring['due'][number]['what'], string> = { rotate: 'Rotate', soon: 'Soon', retire: 'Retire', destroy: 'Destroy' }

/** What the configuration says about the life of its keys, and what follows of it today. */
export function PolicyRow({ keyring: { policy, dueAt, due, findings, fields } }: { keyring: Keyring }) {
  const { periodSeconds, automatic } = policy
  return (
    <Row title="Policy" note="Set in keyturn.config.ts.">
      <p>
        {periodSeconds === null
          ? 'No period is set: nobody is told when this key is old.'
          : `A key stays active for ${lasting(periodSeconds)}. ${automatic ? 'The server rotates by itself when it is due.' : 'A person rotates it.'}`}{' '}
        {dueAt === null ? null : (
          <>
            Due <When at={dueAt} />.
          </>
        )}
      </p>
      {due.length + findings.length === 0 ? null : (
        <ul className="mt-3 space-y-1">
          {due.map(({ what, why }) => (
            <li key={why}>
              <strong className="font-semibold text-retiring-ink">{says[what]}:</strong> {why}
            </li>
          ))}
          {findings.map((finding) => (
            <li key={finding}>
              <strong className="font-semibold text-danger">Finding:</strong> {finding}
            </li>
          ))}
        </ul>
      )}
      <p className="mt-3 text-soft">{fields.length === 0 ? 'No field uses it.' : `Fields: ${fields.join(', ')}`}</p>
    </Row>
  )
}
