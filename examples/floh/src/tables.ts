import type { JsonSchema, VariableDefinition } from '@keyturn/core'
import { type ColumnType, Kysely, PostgresDialect, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import type { Pool } from 'pg'
import { hashInvitationTokens } from './invitations.ts'

/** JSON: an object when it is read, its text when it is written. */
type Json<T> = ColumnType<T, string, string>
/** Values by their names. */
export type Values = { readonly [name: string]: unknown }

/** What a workflow does: sets a variable, or calls a connector. `{{name}}` stands for the value of a variable. */
export type Step = { readonly set: string; readonly value: string } | { readonly connector: string; readonly body: string }

export interface Tables {
  connector_definition: { id: string; name: string; config_schema: Json<JsonSchema>; connector_config: Json<Values> }
  workflow_definition: { id: string; name: string; variables: Json<VariableDefinition[]>; steps: Json<Step[]> }
  workflow_run: { id: string; workflow_id: string; status: string; step: number; variables: Json<Values> }
  scheduled_trigger: { id: string; workflow_id: string; cron: string; variables: Json<Values> }
  invitation_token: { id: string; token: string; email: string; expires_at: ColumnType<Date, Date, never>; accepted_by: string | null }
}
export type Db = Kysely<Tables>

export const openDatabase = (pool: Pool): Db => new Kysely({ dialect: new PostgresDialect({ pool }) })

const tables = sql`
  CREATE TABLE IF NOT EXISTS connector_definition (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    config_schema jsonb NOT NULL,
    connector_config jsonb NOT NULL
  );
  CREATE TABLE IF NOT EXISTS workflow_definition (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    variables jsonb NOT NULL, -- [{ name, type, required, secret }]
    steps jsonb NOT NULL
  );
  CREATE TABLE IF NOT EXISTS workflow_run (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL REFERENCES workflow_definition,
    status text NOT NULL CHECK (status IN ('running', 'done')),
    step int NOT NULL,
    variables jsonb NOT NULL
  );
  CREATE TABLE IF NOT EXISTS scheduled_trigger (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL REFERENCES workflow_definition,
    cron text NOT NULL,
    variables jsonb NOT NULL
  );
  CREATE TABLE IF NOT EXISTS invitation_token (
    id uuid PRIMARY KEY,
    token text NOT NULL UNIQUE,
    email text NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_by text
  );
`

const migrations = (pool: Pool): Record<string, Migration> => ({
  '001_tables': { up: async (db) => void (await tables.execute(db)) },
  // There is no way down: a hash gives no token back.
  '030_hash_invitation_tokens': { up: async () => void (await hashInvitationTokens(pool)) },
})

// Two instances may start together.
const STARTING = 7_305_223

/** Runs the migrations that this database has not had. */
export async function migrateDatabase(pool: Pool, db: Db): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [STARTING])
    // Each is safe when it is run again, and 030 works in transactions of its own: what was hashed before a crash stays hashed.
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations(pool) }, disableTransactions: true })
    const { error } = await migrator.migrateToLatest()
    if (error !== undefined) throw error
  } finally {
    // The lock ends with its connection.
    client.release(true)
  }
}
