import { readFileSync } from 'node:fs'
import type { Pool } from 'pg'

/**
 * The tables of langfuse that hold encrypted values, as its Prisma schema and migrations make them at the commit that the preset
 * names: types, keys, indexes and which columns may be NULL. Columns that play no part are left out.
 */
const schema = `
  DROP SCHEMA public CASCADE;
  CREATE SCHEMA public;
  CREATE TYPE "ActionType" AS ENUM ('WEBHOOK', 'SLACK', 'GITHUB_DISPATCH');
  CREATE TABLE projects (id text PRIMARY KEY, name text NOT NULL, created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP);
  CREATE TABLE api_keys (id text PRIMARY KEY, public_key text NOT NULL UNIQUE, hashed_secret_key text NOT NULL UNIQUE,
    display_secret_key text NOT NULL, project_id text NOT NULL REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE);
  CREATE TABLE llm_api_keys (id text PRIMARY KEY, created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, provider text NOT NULL,
    adapter text NOT NULL, display_secret_key text NOT NULL, secret_key text NOT NULL, base_url text,
    custom_models text[] NOT NULL DEFAULT '{}', extra_headers text, extra_header_keys text[] NOT NULL DEFAULT '{}', config jsonb,
    project_id text NOT NULL REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE);
  CREATE UNIQUE INDEX ON llm_api_keys (project_id, provider);
  CREATE TABLE slack_integrations (id text PRIMARY KEY, project_id text NOT NULL UNIQUE REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE,
    team_id text NOT NULL, bot_token text NOT NULL, created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP);
  CREATE TABLE sso_configs (domain text PRIMARY KEY, created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    auth_provider text NOT NULL, auth_config jsonb);
  CREATE TABLE posthog_integrations (project_id text PRIMARY KEY REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE,
    encrypted_posthog_api_key text NOT NULL, posthog_host_name text NOT NULL, last_sync_at timestamp(3), enabled boolean NOT NULL);
  CREATE TABLE mixpanel_integrations (project_id text PRIMARY KEY REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE,
    encrypted_mixpanel_project_token text NOT NULL, mixpanel_region text NOT NULL, enabled boolean NOT NULL);
  CREATE TABLE blob_storage_integrations (project_id text PRIMARY KEY REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE,
    bucket_name text NOT NULL, access_key_id text, secret_access_key text, endpoint text, enabled boolean NOT NULL);
  CREATE TABLE actions (id text PRIMARY KEY, created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    project_id text NOT NULL REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE, type "ActionType" NOT NULL, config jsonb NOT NULL);
  CREATE INDEX ON actions (project_id);
  CREATE TABLE datasets (id text NOT NULL, project_id text NOT NULL REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE,
    name text NOT NULL, metadata jsonb, remote_experiment_url text, remote_experiment_secret_key text,
    remote_experiment_display_secret_key text, remote_experiment_request_headers jsonb, remote_experiment_display_headers jsonb,
    PRIMARY KEY (id, project_id));
  CREATE UNIQUE INDEX ON datasets (project_id, name);
  CREATE TABLE web_callout_endpoints (id text PRIMARY KEY, project_id text NOT NULL REFERENCES projects ON DELETE CASCADE ON UPDATE CASCADE,
    url text NOT NULL, request_headers text, request_header_keys text[] NOT NULL DEFAULT '{}')`

export const tables = [
  'projects',
  'api_keys',
  'llm_api_keys',
  'slack_integrations',
  'sso_configs',
  'posthog_integrations',
  'mixpanel_integrations',
  'blob_storage_integrations',
  'actions',
  'datasets',
  'web_callout_endpoints',
]

interface Vector {
  readonly name: string
  readonly key: string
  readonly plaintext: string
  readonly stored: string
}
const file = new URL('../vectors/langfuse.json', import.meta.url)
const { vectors }: { vectors: Vector[] } = JSON.parse(readFileSync(file, 'utf8'))

/** The key under which langfuse's own code wrote the values of the vectors. */
export const vectorKey = vectors[0]?.key ?? ''

/** Gives the stored form of a vector: as langfuse wrote it, or written anew under another key. */
export type Seal = (vector: Vector) => string
const asWritten: Seal = ({ stored }) => stored

/** A value that a rotation has to rewrite: where it stands, and what it says. */
export interface Place {
  readonly table: string
  readonly column: string
  /** Key columns in their order, joined by a space. */
  readonly row: string
  /** Into the document of the column; empty where the column is the value. */
  readonly path: readonly string[]
  readonly plaintext: string
}

const place = (table: string, column: string, row: string, name: string, ...path: string[]): Place => ({
  table,
  column,
  row,
  path,
  plaintext: vector(name).plaintext,
})
function vector(name: string): Vector {
  const found = vectors.find((each) => each.name === name)
  if (found === undefined) throw new Error(`there is no vector "${name}"`)
  return found
}

/** Every value that has to be rewritten. What is filled in and not listed here has to stay as it is. */
// biome-ignore format: a table is read by its lines
export const places: readonly Place[] = [
  place('llm_api_keys', 'secret_key', 'llm1', 'short'),
  place('llm_api_keys', 'secret_key', 'llm2', '4KB'),
  place('llm_api_keys', 'extra_headers', 'llm2', 'unicode'),
  place('llm_api_keys', 'extra_headers', 'llm3', 'random-1'),
  place('slack_integrations', 'bot_token', 'slack1', 'random-1'),
  place('sso_configs', 'auth_config', 'acme.example', 'short', 'clientSecret'),
  place('posthog_integrations', 'encrypted_posthog_api_key', 'p1', 'unicode'),
  place('mixpanel_integrations', 'encrypted_mixpanel_project_token', 'p1', 'random-3'),
  place('blob_storage_integrations', 'secret_access_key', 'p1', 'random-3'),
  place('actions', 'config', 'webhook1', 'short', 'secretKey'),
  place('actions', 'config', 'webhook1', 'random-1', 'requestHeaders', 'X-Api-Key', 'value'),
  place('actions', 'config', 'webhook1', 'unicode', 'requestHeaders', 'odd/na~me "ключ"', 'value'),
  place('actions', 'config', 'github1', 'random-3', 'githubToken'),
  place('actions', 'config', 'github1', '4KB', 'requestHeaders', 'Authorization', 'value'),
  place('datasets', 'remote_experiment_secret_key', 'd1 p1', 'random-3'),
  place('datasets', 'remote_experiment_secret_key', 'd1 p2', 'unicode'),
  place('datasets', 'remote_experiment_request_headers', 'd1 p1', 'short', 'X-Secret', 'value'),
  place('datasets', 'remote_experiment_request_headers', 'd1 p2', 'random-1', 'X-Secret', 'value'),
  place('web_callout_endpoints', 'request_headers', 'callout1', '4KB'),
]

/** Values of fields that stay as they are: three that are encrypted and empty, one that is not encrypted yet, one empty string. */
export const keptValues = 5

/** Makes the tables anew and fills them. Whatever else is in the schema `public` is gone. */
export async function fillLangfuse(pool: Pool, seal: Seal = asWritten): Promise<void> {
  await pool.query(schema)
  const of = (name: string) => seal(vector(name))
  const [short, unicode, long, one, three, empty] = ['short', 'unicode', '4KB', 'random-1', 'random-3', 'empty'].map(of)
  const insert = async (table: string, rows: readonly Record<string, unknown>[]) => {
    for (const row of rows) {
      const names = Object.keys(row)
      const values = `(${names.join(', ')}) VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')})`
      await pool.query(`INSERT INTO ${table} ${values}`, Object.values(row))
    }
  }
  await insert(
    'projects',
    ['p1', 'p2', 'p3', 'p4', 'p5'].map((id) => ({ id, name: `project ${id}` })),
  )
  await insert('api_keys', [
    { id: 'k1', public_key: 'pk-lf-1', hashed_secret_key: '$2a$11$hash', display_secret_key: 'sk-lf...1', project_id: 'p1' },
  ])
  const llm = { adapter: 'openai', display_secret_key: '...aBcD', project_id: 'p1' }
  await insert('llm_api_keys', [
    { ...llm, id: 'llm1', provider: 'openai', secret_key: short, extra_headers: null },
    { ...llm, id: 'llm2', provider: 'bedrock', secret_key: long, extra_headers: unicode, config: { region: 'eu-west-1' } },
    { ...llm, id: 'llm3', provider: 'empty', secret_key: empty, extra_headers: one },
  ])
  await insert('slack_integrations', [{ id: 'slack1', project_id: 'p1', team_id: 'T1', bot_token: one }])
  await insert('sso_configs', [
    {
      domain: 'acme.example',
      auth_provider: 'okta',
      auth_config: { clientId: 'id-1', clientSecret: short, issuer: 'https://acme.example', allow: [1, 2.5] },
    },
    { domain: 'environment.example', auth_provider: 'google', auth_config: null },
    { domain: 'nothing.example', auth_provider: 'custom', auth_config: { clientId: 'id-2', scope: 'openid' } },
  ])
  await insert('posthog_integrations', [
    { project_id: 'p1', encrypted_posthog_api_key: unicode, posthog_host_name: 'https://eu.example', enabled: true },
  ])
  await insert('mixpanel_integrations', [
    { project_id: 'p1', encrypted_mixpanel_project_token: three, mixpanel_region: 'eu', enabled: true },
  ])
  const blob = { bucket_name: 'exports', access_key_id: 'AKIA1', enabled: true }
  await insert('blob_storage_integrations', [
    { ...blob, project_id: 'p1', secret_access_key: three },
    { ...blob, project_id: 'p2', secret_access_key: 'wJalrXUtnFEMI/K7MDENG+bPxRfi=' },
    { ...blob, project_id: 'p3', secret_access_key: null },
    { ...blob, project_id: 'p4', secret_access_key: empty },
    { ...blob, project_id: 'p5', secret_access_key: '' },
  ])
  const header = (secret: boolean, value: string | undefined) => ({ secret, value })
  await insert('actions', [
    {
      id: 'webhook1',
      project_id: 'p1',
      type: 'WEBHOOK',
      config: {
        type: 'WEBHOOK',
        url: 'https://hooks.example/1',
        apiVersion: { prompt: 'v1' },
        headers: { legacy: 'plain' },
        secretKey: short,
        displaySecretKey: 'lf-whsec_...aBcD',
        requestHeaders: {
          'X-Api-Key': header(true, one),
          'X-Trace': header(false, 'not secret'),
          'X-Empty': header(true, empty),
          'odd/na~me "ключ"': header(true, unicode),
        },
        displayHeaders: { 'X-Api-Key': header(true, 'V2S8...JoO_c'), 'X-Trace': header(false, 'not secret') },
      },
    },
    {
      id: 'github1',
      project_id: 'p1',
      type: 'GITHUB_DISPATCH',
      config: {
        type: 'GITHUB_DISPATCH',
        url: 'https://github.example/dispatches',
        eventType: 'prompt',
        githubToken: three,
        displayGitHubToken: 'a7b3...0d80',
        requestHeaders: { Authorization: header(true, long), Accept: header(false, 'application/json') },
      },
    },
    { id: 'slack1', project_id: 'p1', type: 'SLACK', config: { type: 'SLACK', channelId: 'C1', channelName: 'prompts' } },
  ])
  await insert('datasets', [
    {
      id: 'd1',
      project_id: 'p1',
      name: 'one',
      metadata: { n: 1 },
      remote_experiment_secret_key: three,
      remote_experiment_request_headers: { 'X-Secret': header(true, short), 'X-Open': header(false, 'open') },
      remote_experiment_display_headers: { 'X-Secret': header(true, '****') },
    },
    {
      id: 'd1',
      project_id: 'p2',
      name: 'one',
      remote_experiment_secret_key: unicode,
      remote_experiment_request_headers: { 'X-Secret': header(true, one) },
    },
    { id: 'd2', project_id: 'p1', name: 'two' },
  ])
  await insert('web_callout_endpoints', [
    { id: 'callout1', project_id: 'p1', url: 'https://callout.example', request_headers: long, request_header_keys: ['Authorization'] },
    { id: 'callout2', project_id: 'p1', url: 'https://callout.example', request_headers: null },
  ])
}

/** Everything in the tables, as text, exactly as the database prints it: by table, row and column. */
export type Contents = ReadonlyMap<string, string | null>
const cell = (table: string, row: string, column: string) => `${table} ${row} ${column}`

export async function readLangfuse(pool: Pool): Promise<Contents> {
  const contents = new Map<string, string | null>()
  for (const table of tables) {
    const { rows: columns } = await pool.query('SELECT column_name AS name FROM information_schema.columns WHERE table_name = $1', [table])
    const texts = columns.map(({ name }) => `"${name}"::text AS "${name}"`).join(', ')
    for (const row of (await pool.query(`SELECT ${texts} FROM ${table}`)).rows) {
      const key = table === 'datasets' ? `${row.id} ${row.project_id}` : (row.id ?? row.domain ?? row.project_id)
      for (const [column, value] of Object.entries<string | null>(row)) contents.set(cell(table, key, column), value)
    }
  }
  return contents
}

/** The stored text of a place. */
export function storedAt(contents: Contents, { table, row, column, path }: Place): string {
  const text = contents.get(cell(table, row, column)) ?? ''
  const found = path.length === 0 ? text : path.reduce<unknown>((node, step) => (node as Record<string, unknown>)[step], JSON.parse(text))
  if (typeof found !== 'string') throw new Error(`there is no value at ${cell(table, row, column)}`)
  return found
}

/** The contents with the values of all places taken out of their texts: what a rotation has to leave exactly as it was. */
export function aroundPlaces(contents: Contents): Contents {
  const around = new Map(contents)
  for (const each of places) {
    const at = cell(each.table, each.row, each.column)
    around.set(at, (around.get(at) ?? '').replace(storedAt(contents, each), '…'))
  }
  return around
}
