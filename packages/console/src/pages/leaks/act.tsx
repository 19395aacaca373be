import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Keyring, KeyVersion } from '../../domain.ts'
import type { RemedyAct } from '../../leak.ts'
import { Button } from '../../parts/button.tsx'
import { Loaded } from '../../parts/states.tsx'
import { queries } from '../../queries.ts'
import { useMay } from '../../session.tsx'
import { runStanding } from '../../words/secrets.ts'
import { isFinal } from '../../words/states.ts'
import { RunActions } from '../secrets/actions.tsx'

/** What is being asked, in front of the page. */
export type Doing =
  | { readonly kind: 'rotate-key'; readonly keyring: Keyring }
  | { readonly kind: 'retire-key'; readonly keyring: Keyring; readonly version: KeyVersion }
  | { readonly kind: 'rotate-secret'; readonly secret: string }

interface ActProps<A extends RemedyAct = RemedyAct> {
  readonly act: A
  /** The page is about this one secret only. */
  readonly alone: boolean
  readonly onDo: (doing: Doing) => void
}

/** What begins a remedy: a question with its own confirmation, or the page on which it goes on. */
export function ActOf({ act, ...props }: ActProps) {
  if (act.kind === 'rotate-key') return <RotateKey {...props} act={act} />
  if (act.kind === 'retire-key') return <RetireKeys {...props} act={act} />
  if (act.kind === 'run') return <OfRun {...props} act={act} />
  return <RotateSecret {...props} act={act} />
}

type Of<K extends RemedyAct['kind']> = ActProps<Extract<RemedyAct, { kind: K }>>

function RotateKey({ act: { keyring: name }, onDo }: Of<'rotate-key'>) {
  const may = useMay('operator')
  const keyring = useQuery(queries.keyring(name))
  const rotations = useQuery(queries.rotations(name))
  const running = rotations.data?.find((rotation) => !isFinal(rotation))
  if (running !== undefined)
    return (
      <Link to="/rotations/$id" params={{ id: running.id }} className="button">
        Watch the rotation of {name}
      </Link>
    )
  return (
    <Loaded of={keyring} what="keyring">
      {(known) => (may ? <Button onClick={() => onDo({ kind: 'rotate-key', keyring: known })}>Rotate {name}…</Button> : null)}
    </Loaded>
  )
}

function RetireKeys({ act: { keyring: name, versions }, onDo }: Of<'retire-key'>) {
  const may = useMay('operator')
  const keyring = useQuery(queries.keyring(name))
  return (
    <Loaded of={keyring} what="keyring">
      {(known) => {
        const meant = known.versions.filter(({ id }) => versions.includes(id))
        const ready = meant.filter(({ state }) => state === 'retiring')
        const first = meant.filter(({ state }) => state === 'active' || state === 'pending')
        return (
          <>
            {may && ready.length > 0 ? (
              <div className="flex flex-wrap gap-2">
                {ready.map((version) => (
                  <Button key={version.id} onClick={() => onDo({ kind: 'retire-key', keyring: known, version })}>
                    Retire version {version.number} of {name}…
                  </Button>
                ))}
              </div>
            ) : null}
            {first.map(({ id, number, state }) => (
              <p key={id} className="text-fine text-soft">
                Version {number} is {state}: once another has taken its place.
              </p>
            ))}
          </>
        )
      }}
    </Loaded>
  )
}

function RotateSecret({ act: { secret }, onDo }: Of<'rotate-secret'>) {
  if (!useMay('operator')) return null
  return <Button onClick={() => onDo({ kind: 'rotate-secret', secret })}>Rotate {secret}…</Button>
}

const often = 5_000

function OfRun({ act: { secret, run: id }, alone }: Of<'run'>) {
  // Of many secrets each has its own page for it.
  const found = useQuery({ ...queries.run(id), enabled: alone, refetchInterval: often })
  const run = found.data
  return (
    <>
      <p>
        <Link to="/secrets/$name" params={{ name: secret }} search={{ run: id }} className="button">
          Look at the rotation of {secret}
        </Link>
      </p>
      {run === undefined ? null : (
        <>
          <p className="text-fine text-soft">{runStanding(run)}</p>
          {useful.some((action) => run.actions.includes(action)) ? <RunActions run={run} only={useful} /> : null}
        </>
      )}
    </>
  )
}

/** What of a run ends a leak sooner. */
const useful = ['resume', 'revoke'] as const
