import type { Database } from '../rotation/database.ts'
import { postgresDatabase } from './postgres/database.ts'
import { type PGliteDatabase, pgliteState } from './postgres/sql.ts'

/**
 * An embedded PGlite database. It has one session: reads and writes of the application wait while a batch is written, and nothing
 * can be in between.
 *
 * @param options.pglite - a PGlite database, or any object of its shape
 * @param options.schema - schema of Keyturn's own tables; `keyturn` unless given
 */
export default function pglite({ pglite, schema }: { readonly pglite: PGliteDatabase; readonly schema?: string }): Database {
  return postgresDatabase('pglite', pgliteState(pglite, schema))
}
export { type PGliteDatabase, pgliteState } from './postgres/sql.ts'
