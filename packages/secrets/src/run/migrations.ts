import { fail, type Migrations, type SqlState } from '@keyturn/core'

/** What secrets keep beside the state of core. Values stand in `sealed` only, which is core's; here are their ids. */
const tables = (schema: string) => `
CREATE TABLE ${schema}.secret (
  name text PRIMARY KEY,
  value_id text,
  credential_id text,
  since timestamptz,
  run_id text,
  last_at timestamptz
);
CREATE TABLE ${schema}.secret_run (
  id text PRIMARY KEY,
  secret text NOT NULL,
  rotator text NOT NULL,
  state text NOT NULL CHECK (state IN ('running','waiting','paused','completed','rolled-back','cancelled')),
  direction text NOT NULL CHECK (direction IN ('forward','back')),
  steps text NOT NULL,
  position integer NOT NULL,
  attempt text NOT NULL,
  facts text NOT NULL,
  old_value text,
  new_value text,
  note text,
  started_by text NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  wake_at timestamptz,
  sweep_at timestamptz,
  wish text CHECK (wish = 'back'),
  epoch bigint NOT NULL,
  lease_until timestamptz,
  call_ms integer NOT NULL
);
CREATE UNIQUE INDEX secret_run_one ON ${schema}.secret_run (secret) WHERE state IN ('running','waiting','paused');
CREATE INDEX secret_run_of ON ${schema}.secret_run (secret, created_at);
CREATE TABLE ${schema}.secret_step (
  run_id text NOT NULL REFERENCES ${schema}.secret_run (id) ON DELETE CASCADE,
  number integer NOT NULL,
  step text NOT NULL,
  state text NOT NULL CHECK (state IN ('begun','done','failed','skipped')),
  tries integer NOT NULL,
  begun_at timestamptz NOT NULL,
  ended_at timestamptz,
  evidence text NOT NULL,
  problem text,
  PRIMARY KEY (run_id, number)
);
CREATE TABLE ${schema}.secret_notice (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text NOT NULL,
  channel integer NOT NULL,
  body text NOT NULL,
  at timestamptz NOT NULL,
  tries integer NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL,
  sent_at timestamptz
);
CREATE INDEX secret_notice_unsent ON ${schema}.secret_notice (next_at) WHERE sent_at IS NULL;
CREATE TABLE ${schema}.secret_trouble (
  key text PRIMARY KEY,
  severity integer NOT NULL,
  opened_at timestamptz NOT NULL
);`

/** Calls to providers, which all processes count together. A row of a call lives for a minute, or for as long as the call may take. */
const calls = (schema: string) => `
CREATE TABLE ${schema}.secret_provider (
  key text PRIMARY KEY,
  busy_until timestamptz,
  strikes integer NOT NULL DEFAULT 0
);
CREATE TABLE ${schema}.secret_call (
  id text PRIMARY KEY,
  provider text NOT NULL,
  taken_at timestamptz NOT NULL,
  until timestamptz NOT NULL
);
CREATE INDEX secret_call_of ON ${schema}.secret_call (provider, taken_at);`

/** A channel by its name: its place in the configuration may be another tomorrow. */
const channels = (schema: string) => `
ALTER TABLE ${schema}.secret_notice ALTER COLUMN channel TYPE text USING channel::text;`

/** The tables of this package, made after those of core. */
export const secretMigrations: Migrations = {
  package: 'secrets',
  migrations: [
    { number: 1, sql: (schema) => `${tables(schema)}\n` },
    { number: 2, sql: (schema) => `${calls(schema)}\n` },
    { number: 3, sql: (schema) => `${channels(schema)}\n` },
  ],
}

/** @throws `ERR_STATE_MISSING` where nobody has made these tables yet */
export async function assertMade({ query, schema }: Pick<SqlState, 'query' | 'schema'>): Promise<void> {
  const { rows } = await query('SELECT to_regclass($1::text) IS NOT NULL AS made', [`${schema}.secret_run`])
  if (rows[0]?.made !== true) throw fail('ERR_STATE_MISSING', schema.replaceAll('"', ''))
}
