/** One step of our schema. A step that was published never changes; what comes later is a new one. */
export interface Migration {
  readonly number: number
  /** The statements, for a schema given as a quoted identifier. */
  readonly sql: (schema: string) => string
}

/** States in which a rotation is not over. Stands in the partial index of the first migration: never change it there. */
const unfinished = `('planned','running','paused','waiting','verifying')`

const keyrings = (schema: string) => `
CREATE TABLE ${schema}.keyring (
  name text PRIMARY KEY,
  revision bigint NOT NULL CHECK (revision > 0),
  seal_id text NOT NULL UNIQUE,
  mac bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ${schema}.key_version (
  keyring text NOT NULL REFERENCES ${schema}.keyring (name),
  id text PRIMARY KEY,
  number integer NOT NULL CHECK (number > 0),
  state text NOT NULL CHECK (state IN ('pending','active','retiring','retired','destroyed')),
  compromised boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  activated_at timestamptz,
  retired_at timestamptz,
  destroyed_at timestamptz,
  messages bigint NOT NULL DEFAULT 0 CHECK (messages >= 0),
  UNIQUE (keyring, number)
);
CREATE TABLE ${schema}.key_wrapping (
  id text NOT NULL,
  root_id text NOT NULL,
  wrapped bytea NOT NULL,
  added_at timestamptz NOT NULL,
  PRIMARY KEY (id, root_id)
);
CREATE TABLE ${schema}.field (
  name text PRIMARY KEY,
  keyring text NOT NULL,
  location text NOT NULL,
  bind jsonb NOT NULL DEFAULT '[]',
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);`

// A set-aside row is found by a hash of its key: an index entry holds 2,704 bytes at most, and keys have no such limit here.
const rotations = (schema: string) => `
CREATE TABLE ${schema}.rotation (
  id text PRIMARY KEY,
  keyring text NOT NULL,
  mode text NOT NULL CHECK (mode IN ('online','transaction')),
  state text NOT NULL CHECK (state IN ('planned','running','paused','waiting','verifying','completed','cancelled','failed')),
  plan text NOT NULL,
  fields jsonb NOT NULL,
  version_id text,
  key_check text NOT NULL,
  progress jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  note text,
  requested text CHECK (requested IN ('pause','cancel')),
  lease_epoch bigint NOT NULL DEFAULT 0,
  lease_until timestamptz
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX rotation_unfinished ON ${schema}.rotation (keyring) WHERE state IN ${unfinished};
CREATE TABLE ${schema}.set_aside (
  rotation_id text NOT NULL REFERENCES ${schema}.rotation (id) ON DELETE CASCADE,
  field text NOT NULL,
  row_hash bytea NOT NULL,
  row_key jsonb NOT NULL,
  path text NOT NULL DEFAULT '',
  reason text NOT NULL,
  digest bytea NOT NULL,
  pass integer NOT NULL,
  PRIMARY KEY (rotation_id, field, row_hash)
);`

const audit = (schema: string) => `
CREATE TABLE ${schema}.audit_event (
  seq bigint PRIMARY KEY,
  at timestamptz NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  data text NOT NULL,
  previous bytea NOT NULL,
  hash bytea NOT NULL
);
CREATE TABLE ${schema}.audit_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  seq bigint NOT NULL,
  hash bytea NOT NULL
);
CREATE TABLE ${schema}.certificate (
  id text PRIMARY KEY,
  subject text NOT NULL,
  body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ${schema}.setting (
  name text PRIMARY KEY,
  value bytea NOT NULL
);
INSERT INTO ${schema}.audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));`

/** Tokens that were signed and have not expired, and refused ones: counts by key. */
const tokens = (schema: string) => `
CREATE TABLE ${schema}.token_count (
  keyring text NOT NULL,
  version_id text NOT NULL,
  what text NOT NULL CHECK (what IN ('signed','retired-key','unknown-key')),
  kind text NOT NULL,
  bucket timestamptz NOT NULL,
  at timestamptz NOT NULL,
  count bigint NOT NULL CHECK (count >= 0),
  PRIMARY KEY (keyring, version_id, what, kind, bucket)
);`

/** What was done to one thing is asked for again and again: by whom a rotation was begun, whether a certificate was issued. */
const subjects = (schema: string) => `
CREATE INDEX audit_event_subject ON ${schema}.audit_event (subject, seq);`

/** Values that our own packages keep: a field stands on the column, so that they are rewritten and fenced as every other value is. */
const sealed = (schema: string) => `
CREATE TABLE ${schema}.sealed (
  id text PRIMARY KEY,
  value text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);`

/** The migrations of this package, in their order. */
export const migrations: readonly Migration[] = [
  { number: 1, sql: (schema) => `${keyrings(schema)}${rotations(schema)}${audit(schema)}\n` },
  { number: 2, sql: (schema) => `${tokens(schema)}\n` },
  { number: 3, sql: (schema) => `${subjects(schema)}\n` },
  { number: 4, sql: (schema) => `${sealed(schema)}\n` },
]

/** The table that says which migrations were applied. Its shape is the one thing that no migration can change. */
export const migrationTable = (schema: string): string => `CREATE TABLE ${schema}.migration (
  package text NOT NULL,
  number integer NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (package, number)
);`
