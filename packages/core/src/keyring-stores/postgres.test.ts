import { conformsToKeyringStore } from '../../../../test/conformance/keyring-store.ts'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { readEvents } from '../audit/log.ts'
import { pgliteState, pgState } from '../databases/postgres/sql.ts'
import { migrate } from '../state/schema.ts'
import type { SqlState } from '../state/sql.ts'
import postgresKeyrings from './postgres.ts'

async function prepared(state: SqlState) {
  await migrate(state)
  return { store: postgresKeyrings(state), events: () => readEvents(state, state.schema, { limit: 100_000 }) }
}

const database = useDatabase()
const pglite = usePglite()

conformsToKeyringStore('Postgres', () => prepared(pgState(database.pool, 'Keys of "Ada"')))
conformsToKeyringStore('PGlite', () => prepared(pgliteState(pglite())))
