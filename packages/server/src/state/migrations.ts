import type { Migrations } from '@keyturn/core'

/** What the server keeps beside the state of core: the latest counts, how long work goes, and answers that were given. */
const tables = (schema: string) => `
CREATE TABLE ${schema}.census (
  keyring text PRIMARY KEY,
  at timestamptz NOT NULL,
  body text NOT NULL
);
CREATE TABLE ${schema}.rotation_report (
  rotation_id text PRIMARY KEY REFERENCES ${schema}.rotation (id) ON DELETE CASCADE,
  at timestamptz NOT NULL,
  body text NOT NULL
);
CREATE TABLE ${schema}.operation (
  id text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('retire','census','verify')),
  keyring text NOT NULL,
  actor text NOT NULL,
  state text NOT NULL CHECK (state IN ('running','done','failed')),
  started_at timestamptz NOT NULL,
  ended_at timestamptz,
  alive_until timestamptz NOT NULL,
  problem text,
  result text
);
CREATE UNIQUE INDEX operation_running ON ${schema}.operation (kind, keyring) WHERE state = 'running';
CREATE TABLE ${schema}.idempotency (
  actor text NOT NULL,
  key text NOT NULL,
  fingerprint text NOT NULL,
  at timestamptz NOT NULL,
  answer text,
  PRIMARY KEY (actor, key)
);
CREATE TABLE ${schema}.automatic_rotation (
  keyring text NOT NULL,
  version_id text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (keyring, version_id)
);`

/** Stores of secrets are brought in line behind an answer as well. */
const syncs = (schema: string) => `
ALTER TABLE ${schema}.operation DROP CONSTRAINT operation_kind_check;
ALTER TABLE ${schema}.operation ADD CONSTRAINT operation_kind_check CHECK (kind IN ('retire','census','verify','sync'));`

/** The tables of the server, made after those of core. */
export const serverMigrations: Migrations = {
  package: 'server',
  migrations: [
    { number: 1, sql: (schema) => `${tables(schema)}\n` },
    { number: 2, sql: (schema) => `${syncs(schema)}\n` },
  ],
}
