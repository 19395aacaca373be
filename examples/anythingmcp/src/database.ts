import type { Pool } from 'pg'

/** The part of AnythingMCP's schema that credentials need, under its names. What differs from it is said in the README. */
const tables = `
  CREATE TABLE IF NOT EXISTS connectors (
    id text PRIMARY KEY,
    name text NOT NULL,
    type text NOT NULL CHECK (type IN ('REST', 'SOAP', 'GRAPHQL', 'DATABASE', 'MCP')),
    base_url text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    auth_type text NOT NULL,
    auth_config text, -- encrypted JSON
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE IF NOT EXISTS connector_auth_cache (
    id text PRIMARY KEY,
    connector_id text NOT NULL UNIQUE REFERENCES connectors (id) ON DELETE CASCADE,
    token text NOT NULL, -- encrypted access token
    refresh_token text, -- encrypted; null for tokens that cannot be renewed
    expires_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE TABLE IF NOT EXISTS mcp_api_keys (
    id text PRIMARY KEY,
    user_id text NOT NULL,
    key text NOT NULL, -- encrypted
    key_hash text NOT NULL UNIQUE, -- SHA-256: the key is found by it
    name text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
  );
`

// Two instances that start together would both find a table missing.
const STARTING = 7_305_221

/** Makes the tables that are missing. */
export async function createTables(pool: Pool): Promise<void> {
  await pool.query(`BEGIN; SELECT pg_advisory_xact_lock(${STARTING}); ${tables} COMMIT`)
}
