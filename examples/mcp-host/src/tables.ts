import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { pgTable, text, timestamp, unique, uuid } from 'drizzle-orm/pg-core'
import type { Pool } from 'pg'

const createdAt = timestamp('createdAt', { withTimezone: true }).notNull().defaultNow()

/** MCP servers that the host calls. */
export const servers = pgTable('servers', {
  id: uuid('id').primaryKey().defaultRandom(),
  name: text('name').notNull().unique(),
  url: text('url').notNull(),
  createdAt,
})

/** What the host sends a server with each call: a header and its value, which is encrypted. */
export const secrets = pgTable(
  'secrets',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    serverId: uuid('serverId').notNull(),
    /** Of the header. */
    name: text('name').notNull(),
    value: text('value').notNull(),
    /** The data key of the value. NULL: it is under the KEK itself, as before there were data keys. */
    keyId: text('keyId'),
    updatedAt: timestamp('updatedAt', { withTimezone: true }).notNull().defaultNow(),
    updatedBy: text('updatedBy').notNull(),
  },
  (table) => [unique().on(table.serverId, table.name)],
)

/** Tokens of programs, as hashes. */
export const apiTokens = pgTable('api_tokens', {
  name: text('name').primaryKey(),
  tokenHash: text('tokenHash').notNull().unique(),
  createdBy: text('createdBy').notNull(),
  createdAt,
})

export type Db = NodePgDatabase
export const openDatabase = (pool: Pool): Db => drizzle(pool)

// The keys of before Keyturn. Nothing here writes them; an instance of before may.
const tables = `
  CREATE TABLE IF NOT EXISTS encryption_keys (
    version int PRIMARY KEY,
    "wrappedDek" text NOT NULL,
    active boolean NOT NULL DEFAULT false,
    "rotatedBy" text,
    "createdAt" timestamptz NOT NULL DEFAULT now(),
    "retiredAt" timestamptz
  );
  CREATE TABLE IF NOT EXISTS servers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    url text NOT NULL,
    "createdAt" timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE IF NOT EXISTS secrets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    "serverId" uuid NOT NULL REFERENCES servers ON DELETE CASCADE,
    name text NOT NULL,
    value text NOT NULL,
    "keyId" text,
    "updatedAt" timestamptz NOT NULL DEFAULT now(),
    "updatedBy" text NOT NULL,
    UNIQUE ("serverId", name)
  );
  CREATE TABLE IF NOT EXISTS api_tokens (
    name text PRIMARY KEY,
    "tokenHash" text NOT NULL UNIQUE,
    "createdBy" text NOT NULL,
    "createdAt" timestamptz NOT NULL DEFAULT now()
  );
`

// Versions of encryption_keys were numbers, and keyId referred to them. Ids of Keyturn's keys are texts, and stand in its own tables.
const textualKeyIds = `
  DO $$
  DECLARE reference text;
  BEGIN
    FOR reference IN SELECT conname FROM pg_constraint
      WHERE contype = 'f' AND conrelid = 'secrets'::regclass AND confrelid = 'encryption_keys'::regclass
    LOOP
      EXECUTE format('ALTER TABLE secrets DROP CONSTRAINT %I', reference);
    END LOOP;
    IF (SELECT atttypid FROM pg_attribute WHERE attrelid = 'secrets'::regclass AND attname = 'keyId') <> 'text'::regtype THEN
      ALTER TABLE secrets ALTER COLUMN "keyId" TYPE text USING "keyId"::text;
    END IF;
  END $$;
`

// Processes may start together.
const STARTING = 7_305_224

/** Brings the database to what this version expects. */
export async function migrateDatabase(pool: Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [STARTING])
    await client.query(tables)
    await client.query(textualKeyIds)
  } finally {
    // The lock ends with its connection.
    client.release(true)
  }
}
