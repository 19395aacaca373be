import type { Keyturn, SqlState } from '@keyturn/core'
import type { SecretRuns } from './secret/secret-runs.ts'
import type { Health } from './server.ts'

const cacheMs = 1_000
/** The inventory is some look-ups for each secret, and who asks for the health needs no name. */
const inventoryMs = 5_000

interface Looked {
  readonly keyturn: Keyturn
  readonly state: SqlState
  readonly secrets: SecretRuns | null
  readonly version: string
}

/** Looks at the components, at most once a second whoever asks. Says which one fails, or is paused, and nothing else. */
export function healthOf({ keyturn, state, secrets, version }: Looked): () => Promise<Health> {
  const runs = secrets === null ? null : held(inventoryMs, () => standing(secrets))
  return held(cacheMs, async (): Promise<Health> => {
    const [database, keyrings] = await Promise.all([
      stands(() => state.query('SELECT 1')),
      stands(async () => {
        for (const { kind, versions, name } of await keyturn.keyrings())
          if (kind === 'stored' && !versions.some(({ state }) => state === 'active')) throw new Error(name)
      }),
    ])
    const components = { database, keyrings, ...(runs === null ? {} : { secrets: await runs() }) }
    return { status: Object.values(components).includes('failing') ? 'failing' : 'ok', version, components }
  })
}

/** What a look has found, for so many milliseconds. */
function held<T>(ms: number, look: () => Promise<T>): () => Promise<T> {
  let last: { readonly at: number; readonly found: Promise<T> } | null = null
  return () => {
    if (last === null || performance.now() - last.at > ms) last = { at: performance.now(), found: look() }
    return last.found
  }
}

async function stands(look: () => Promise<unknown>): Promise<'ok' | 'failing'> {
  return await look().then(
    () => 'ok',
    () => 'failing',
  )
}

/** A run that is paused makes no server ill: what is in use stays in use. */
async function standing({ secrets }: SecretRuns): Promise<'ok' | 'failing' | 'paused'> {
  return await secrets.list().then(
    (all) => (all.some(({ run }) => run?.state === 'paused') ? 'paused' : 'ok'),
    () => 'failing',
  )
}
