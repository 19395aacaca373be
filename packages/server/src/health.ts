import type { Keyturn, SqlState } from '@keyturn/core'
import type { SecretRuns } from './secret/secret-runs.ts'
import type { Health } from './server.ts'

const cacheMs = 1_000

interface Looked {
  readonly keyturn: Keyturn
  readonly state: SqlState
  readonly secrets: SecretRuns | null
  readonly version: string
}

/** Looks at the components, at most once a second whoever asks. Says which one fails and nothing else. */
export function healthOf({ keyturn, state, secrets, version }: Looked): () => Promise<Health> {
  let last: { readonly at: number; readonly health: Promise<Health> } | null = null
  const look = async (): Promise<Health> => {
    const [database, keyrings] = await Promise.all([
      stands(() => state.query('SELECT 1')),
      stands(async () => {
        for (const { kind, versions, name } of await keyturn.keyrings())
          if (kind === 'stored' && !versions.some(({ state }) => state === 'active')) throw new Error(name)
      }),
    ])
    const runs = secrets === null ? {} : { secrets: await standing(secrets) }
    const components = { database, keyrings, ...runs }
    return { status: Object.values(components).includes('failing') ? 'failing' : 'ok', version, components }
  }
  return () => {
    if (last === null || performance.now() - last.at > cacheMs) last = { at: performance.now(), health: look() }
    return last.health
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
