import type { Keyturn, SqlState } from '@keyturn/core'
import type { Health } from './server.ts'

const cacheMs = 1_000

/** Looks at the components, at most once a second whoever asks. Says which one fails and nothing else. */
export function healthOf({ keyturn, state, version }: { keyturn: Keyturn; state: SqlState; version: string }): () => Promise<Health> {
  let last: { readonly at: number; readonly health: Promise<Health> } | null = null
  const look = async (): Promise<Health> => {
    const [database, keyrings] = await Promise.all([
      stands(() => state.query('SELECT 1')),
      stands(async () => {
        for (const { kind, versions, name } of await keyturn.keyrings())
          if (kind === 'stored' && !versions.some(({ state }) => state === 'active')) throw new Error(name)
      }),
    ])
    return { status: database === 'ok' && keyrings === 'ok' ? 'ok' : 'failing', version, components: { database, keyrings } }
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
