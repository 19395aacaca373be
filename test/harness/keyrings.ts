import { afterEach, beforeAll } from 'vitest'
import { readEvents } from '../../packages/core/src/audit/log.ts'
import { pgState } from '../../packages/core/src/databases/postgres/sql.ts'
import local from '../../packages/core/src/key-wrappers/local.ts'
import type { KeyringStore } from '../../packages/core/src/keyring/keyring-store.ts'
import { type OpenedKeyring, openStoredKeyring, type StoredKeyringOptions } from '../../packages/core/src/keyring/stored-keyring.ts'
import postgresKeyrings from '../../packages/core/src/keyring-stores/postgres.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import type { SqlState } from '../../packages/core/src/state/sql.ts'
import { useDatabase } from './postgres.ts'

export const oldRoot = local({ key: '1a'.repeat(32) })
export const newRoot = local({ key: '2b'.repeat(32) })

/** Keyrings in a Postgres of the file that calls this; what it opens is closed after each test. */
export function useKeyrings() {
  const database = useDatabase()
  const opened: OpenedKeyring[] = []
  let names = 0
  const world = {
    state: null as unknown as SqlState,
    store: null as unknown as KeyringStore,
    newName: () => `ring-${++names}`,
    async open(name: string, more: Partial<StoredKeyringOptions> = {}): Promise<OpenedKeyring> {
      // Refreshed by hand, unless a test says otherwise.
      const keyring = await openStoredKeyring({ store: world.store, name, wrappers: [oldRoot], refreshMs: 1_000_000, ...more })
      opened.push(keyring)
      return keyring
    },
    actionsOf: async (name: string) =>
      (await readEvents(world.state, world.state.schema, { limit: 100_000 }))
        .filter(({ subject }) => subject === `keyring/${name}`)
        .map(({ action }) => action),
  }
  beforeAll(async () => {
    world.state = pgState(database.pool)
    await migrate(world.state)
    world.store = postgresKeyrings(world.state)
  })
  afterEach(() => {
    for (const keyring of opened.splice(0)) keyring.close()
  })
  return world
}

/** A clock that the test moves. */
export function clock() {
  const time = { now: 1_000_000 }
  return { time, monotonicMs: () => time.now }
}
