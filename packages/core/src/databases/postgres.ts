import type { Database } from '../rotation/database.ts'
import { postgresDatabase } from './postgres/database.ts'
import { type PgPool, pgState } from './postgres/sql.ts'

/**
 * A PostgreSQL database through a `pg` Pool of the user's. A rotation uses two connections: one reads ahead while the other writes.
 *
 * @param options.pool - a `pg` Pool, or any object of its shape
 * @param options.schema - schema of Keyturn's own tables; `keyturn` unless given
 */
export default function postgres({ pool, schema }: { readonly pool: PgPool; readonly schema?: string }): Database {
  return postgresDatabase('postgres', pgState(pool, schema))
}
export { type PgClient, type PgPool, type PostgresState, pgState } from './postgres/sql.ts'
