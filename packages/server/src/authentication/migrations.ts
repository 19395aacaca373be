import type { Migrations } from '@keyturn/core'

/**
 * Of every secret only a hash stands here: SHA-256 where it is random (sessions, tokens, links, marks of browsers), argon2id where a
 * person chose it. What limits and refusals are counted by is hashed too: people type passwords where names belong.
 */
const people = (schema: string) => `
CREATE TABLE ${schema}.user_account (
  id text PRIMARY KEY,
  name text NOT NULL,
  folded text NOT NULL UNIQUE,
  role text NOT NULL CHECK (role IN ('viewer','operator','admin')),
  password text NOT NULL,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz
);
CREATE TABLE ${schema}.user_session (
  hash bytea PRIMARY KEY,
  user_id text NOT NULL REFERENCES ${schema}.user_account (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  used_at timestamptz NOT NULL
);
CREATE INDEX user_session_user ON ${schema}.user_session (user_id);
CREATE TABLE ${schema}.user_browser (
  hash bytea PRIMARY KEY,
  user_id text NOT NULL REFERENCES ${schema}.user_account (id) ON DELETE CASCADE,
  used_at timestamptz NOT NULL
);
CREATE INDEX user_browser_user ON ${schema}.user_browser (user_id);
CREATE TABLE ${schema}.setup_link (
  hash bytea PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
CREATE TABLE ${schema}.api_token (
  id text PRIMARY KEY,
  name text NOT NULL,
  folded text NOT NULL UNIQUE,
  hash bytea NOT NULL UNIQUE,
  role text NOT NULL CHECK (role IN ('viewer','operator','admin')),
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  expires_at timestamptz,
  last_used_at timestamptz
);`

const limits = (schema: string) => `
CREATE TABLE ${schema}.attempt (
  scope text NOT NULL,
  key bytea NOT NULL,
  failures integer NOT NULL CHECK (failures >= 0),
  at timestamptz NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX attempt_at ON ${schema}.attempt (at);
CREATE TABLE ${schema}.refusal (
  minute timestamptz NOT NULL,
  address text NOT NULL,
  name text NOT NULL,
  reason text NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (minute, address, name, reason)
);`

/**
 * The tables of authentication, made by `openAccess`. Counted by themselves: a count knows only its highest number, and steps of two kinds
 * in one would have to come in one order for ever.
 */
export const authenticationMigrations: Migrations = {
  package: 'authentication',
  migrations: [{ number: 101, sql: (schema) => `${people(schema)}${limits(schema)}\n` }],
}
