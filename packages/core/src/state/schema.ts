import { fail } from '../errors.ts'
import { type Migration, migrations, migrationTable } from './migrations.ts'
import type { Sql, SqlState } from './sql.ts'

/** The tables of one package in our schema: each package counts its migrations by itself. */
export interface Migrations {
  readonly package: string
  readonly migrations: readonly Migration[]
}
const core: Migrations = { package: 'core', migrations }

const latestOf = ({ migrations }: Migrations): number => migrations.at(-1)?.number ?? 0
const latest = latestOf(core)

/** The name inside a quoted identifier, for messages. */
const plain = (schema: string): string => schema.replace(/^"|"$/g, '').replaceAll('""', '"')

const record = (schema: string, number: number, { package: name }: Migrations = core): string =>
  `INSERT INTO ${schema}.migration (package, number) VALUES ('${name}', ${number});`

/**
 * The complete SQL of our schema, for a DBA who runs it by hand (`keyturn init --sql`). Leaves the database as `migrate` would.
 *
 * @param schema - a quoted identifier
 * @param others - the tables of other packages, made after ours
 */
export function schemaSql(schema: string, others: readonly Migrations[] = []): string {
  const steps = [core, ...others].flatMap((of) =>
    of.migrations.map(
      ({ number, sql }) => `-- ${of === core ? '' : `${of.package}: `}migration ${number}${sql(schema)}${record(schema, number, of)}`,
    ),
  )
  return `-- Keyturn's own tables. Run this once, as a user who may create schemas. Then, for the role that the application uses:
--   GRANT USAGE ON SCHEMA ${schema} TO that_role;
--   GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO that_role;
BEGIN;
CREATE SCHEMA IF NOT EXISTS ${schema};
${migrationTable(schema)}
${steps.join('\n')}
COMMIT;
`
}

/** Whether our tables are there. Looks into the catalogue, which everybody may read, whatever the user may do with the schema. */
export async function isMade(sql: Sql, schema: string): Promise<boolean> {
  const { rows } = await sql.query(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1::text AND c.relname = 'audit_head') AS found`,
    [plain(schema)],
  )
  return rows[0]?.found === true
}

/**
 * The number of the latest migration that was applied; null where our tables are not there.
 *
 * Looks into the catalogue first, so that a missing schema is no error.
 *
 * @throws `ERR_PRIVILEGE` where they are there and this user may not read them
 */
async function applied(sql: Sql, schema: string, of: Migrations = core): Promise<number | null> {
  const { rows } = await sql.query(
    `SELECT has_schema_privilege(n.oid, 'USAGE') AS usable, has_table_privilege(c.oid, 'SELECT') AS readable
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1::text AND c.relname = 'migration'`,
    [plain(schema)],
  )
  const [found] = rows
  if (found === undefined) return null
  if (found.usable !== true) throw fail('ERR_PRIVILEGE', 'USAGE', `schema "${plain(schema)}"`)
  if (found.readable !== true) throw fail('ERR_PRIVILEGE', 'SELECT', `the tables of schema "${plain(schema)}"`)
  const { rows: numbers } = await sql.query(
    `SELECT coalesce(max(number), 0)::text AS number FROM ${schema}.migration WHERE package = $1::text`,
    [of.package],
  )
  return Number(numbers[0]?.number)
}

function assertNotNewer(schema: string, number: number, of: Migrations = core): void {
  if (number > latestOf(of)) throw fail('ERR_STATE_NEWER', plain(schema), number, latestOf(of))
}

/**
 * Whether this code may work with the state. Every opener asks.
 *
 * @throws `ERR_STATE_NEWER` when a newer Keyturn has migrated it
 * @throws `ERR_STATE_OLDER` when an older Keyturn made them, and nobody has opened them to write since
 * @throws `ERR_STATE_MISSING` when our tables are not there
 */
export async function assertKnown(state: SqlState): Promise<void> {
  const number = await applied(state, state.schema)
  if (number === null) throw fail('ERR_STATE_MISSING', plain(state.schema))
  if (number < latest) throw fail('ERR_STATE_OLDER', plain(state.schema), number, latest)
  assertNotNewer(state.schema, number)
}

/** Whether the user may create our schema, or tables in it when it is there. */
async function mayCreate(sql: Sql, schema: string): Promise<{ readonly exists: boolean; readonly allowed: boolean }> {
  const { rows } = await sql.query(
    `SELECT n.oid IS NOT NULL AS exists,
            CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
                 ELSE has_schema_privilege(n.oid, 'CREATE') END AS allowed
     FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::text`,
    [plain(schema)],
  )
  return { exists: rows[0]?.exists === true, allowed: rows[0]?.allowed === true }
}

/** @throws `ERR_STATE_MISSING` when our schema is not there and this user may not create it */
export async function assertCreatable(state: SqlState): Promise<void> {
  const { allowed } = await mayCreate(state, state.schema)
  if (!allowed) throw fail('ERR_STATE_MISSING', plain(state.schema))
}

/**
 * Brings our schema to what this code knows. Does nothing when it is there already, so that every process may call it at its
 * start; processes that start together wait for each other. One transaction: a crash leaves the schema as it was.
 *
 * @param of - the tables of another package, made after ours
 * @throws `ERR_STATE_NEWER` when a newer Keyturn has migrated it
 * @throws `ERR_STATE_MISSING` when it is not there and this user may not create it
 * @throws `ERR_PRIVILEGE` when it is older and this user may not change it
 */
export async function migrate(state: SqlState, of: Migrations = core): Promise<void> {
  const { schema } = state
  // The tables of other packages stand beside those of this one.
  if (of !== core) await migrate(state)
  const before = await applied(state, schema, of)
  if (before !== null && before >= latestOf(of)) return assertNotNewer(schema, before, of)
  await state.transaction(async (sql) => {
    await sql.query('SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))', [`keyturn migrate ${schema}`])
    const number = await applied(sql, schema, of)
    assertNotNewer(schema, number ?? 0, of)
    if (number === latestOf(of)) return
    const { exists, allowed } = await mayCreate(sql, schema)
    if (!allowed) throw number === null ? fail('ERR_STATE_MISSING', plain(schema)) : fail('ERR_PRIVILEGE', 'CREATE', `schema ${schema}`)
    const missing = of.migrations.filter((step) => step.number > (number ?? 0))
    const steps = missing.map((step) => step.sql(schema) + record(schema, step.number, of))
    await sql.exec([exists ? '' : `CREATE SCHEMA ${schema};`, number === null ? migrationTable(schema) : '', ...steps].join('\n'))
  })
}
