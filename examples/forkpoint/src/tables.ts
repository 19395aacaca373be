import type { Pool } from 'pg'

/** What prisma/schema.prisma describes. */
const tables = `
  CREATE TABLE IF NOT EXISTS jira_configs (
    id text PRIMARY KEY,
    name text NOT NULL,
    "baseUrl" text NOT NULL,
    email text NOT NULL,
    "encryptedToken" text NOT NULL
  );
  CREATE TABLE IF NOT EXISTS github_configs (
    id text PRIMARY KEY,
    name text NOT NULL,
    "baseUrl" text NOT NULL,
    "encryptedToken" text NOT NULL
  );
  CREATE TABLE IF NOT EXISTS slack_configs (
    id text PRIMARY KEY, -- team and type of token
    "teamId" text NOT NULL,
    "tokenType" text NOT NULL CHECK ("tokenType" IN ('bot', 'user')),
    channel text NOT NULL,
    "encryptedToken" text NOT NULL
  );
  CREATE TABLE IF NOT EXISTS webhooks (
    id text PRIMARY KEY,
    url text NOT NULL,
    "encryptedSecret" text NOT NULL
  );
`

// Two instances that start together would both find a table missing.
const STARTING = 7_305_222

/** Makes the tables that are missing. */
export async function createTables(pool: Pool): Promise<void> {
  await pool.query(`BEGIN; SELECT pg_advisory_xact_lock(${STARTING}); ${tables} COMMIT`)
}
