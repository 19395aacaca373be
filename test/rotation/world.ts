import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import hexColon from '../../packages/core/src/codecs/hex-colon.ts'
import kt1 from '../../packages/core/src/codecs/kt1.ts'
import type { Codec, Stored } from '../../packages/core/src/field/codec.ts'
import { Field, type FieldDefinition } from '../../packages/core/src/field/field.ts'
import { parseReference } from '../../packages/core/src/field/reference.ts'
import type { LiveKeyring } from '../../packages/core/src/keyring/live-keyring.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import type { Rotation } from '../../packages/core/src/rotation/rotate.ts'

/** Keys of tests: an old one and a new one, fixed, so that a child process has the same. */
export const oldKey = Buffer.alloc(32, 0x11)
export const newKey = Buffer.alloc(32, 0x22)
export const oldKeys = staticKeyring('old', [staticVersion('oldoldol', 1, 'active', oldKey)])
export const newKeys = staticKeyring('app', [staticVersion('newnewne', 1, 'active', newKey)])

/** A field that reads hex-colon under the old key and writes `codec` under the new one. */
export function fieldOf(reference: string, more: Partial<FieldDefinition> = {}): Field {
  return new Field({
    name: reference.replaceAll(/[^A-Za-z0-9._-]/g, '_'),
    location: parseReference(reference),
    keyring: newKeys,
    writes: kt1(),
    reads: [{ codec: hexColon({}), keyring: oldKeys }],
    bind: [],
    empty: 'refuse',
    ...more,
  })
}

/** The application as it was before: it knows the old format and the old key only. */
export function writeOld(plaintext: string, codec: Codec = hexColon({}), keyring: LiveKeyring = oldKeys): Stored {
  return codec.encrypt(Buffer.from(plaintext), keyring.snapshot.active, { keyring: keyring.name, field: 'any', bound: [] })
}

/** A rotation of some fields in tests: as fast as it goes, a short lease. */
export function rotationOf(database: Database, fields: readonly Field[], options: RotateOptions = {}): Rotation {
  return {
    database,
    keyring: fields[0]?.keyring ?? newKeys,
    versions: null,
    fields,
    options: { throttle: { share: 1 }, ...options },
    actor: 'test',
    leaseMs: 1_000,
  }
}

/** A value that no codec wrote and no key opens, in the shape of hex-colon. */
export function damaged(): string {
  return `${randomBytes(12).toString('hex')}:${randomBytes(16).toString('hex')}:${randomBytes(20).toString('hex')}`
}

/** A field of an application whose format names no key: hex-colon before and after, under another key. */
export function namelessField(reference: string, more: Partial<FieldDefinition> = {}): Field {
  return fieldOf(reference, { writes: hexColon({}), ...more })
}

/** A table `name (id bigint, token text)` with `token N` in row N under the old key. */
export async function fillTable(sql: Queries, name: string, rows: number): Promise<void> {
  await sql.query(`CREATE TABLE ${name} (id bigint PRIMARY KEY, token text)`)
  await insertOld(sql, name, rows)
}

/** Adds the rows 1 to `rows` to a table with the columns `id` and `token`. */
export async function insertOld(sql: Queries, name: string, rows: number): Promise<void> {
  const ids = Array.from({ length: rows }, (_, index) => index + 1)
  const tokens = ids.map((id) => writeOld(`token ${id}`))
  await sql.query(`INSERT INTO ${name} (id, token) SELECT * FROM unnest($1::bigint[], $2::text[])`, [ids, tokens])
}

/** Writes down the id of every row that is updated from now on, in `name_history`. */
export async function keepHistory(sql: Queries, name: string): Promise<void> {
  await sql.query(`CREATE TABLE ${name}_history (id bigint)`)
  await sql.query(`
    CREATE FUNCTION ${name}_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ${name}_history VALUES (NEW.id); RETURN NULL; END $$`)
  await sql.query(`CREATE TRIGGER note AFTER UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION ${name}_note()`)
}

/** How often rows of a table with a history were changed: how many were changed at all, and the most changes of one row. */
export async function changesOf(sql: Queries, name: string): Promise<{ rows: number; most: number }> {
  const { rows } = await sql.query(
    `SELECT count(*)::int4 AS rows, coalesce(max(times), 0)::int4 AS most FROM (SELECT count(*) AS times FROM ${name}_history GROUP BY id) h`,
  )
  return rows[0] as { rows: number; most: number }
}

/** Values of a table with the columns `id` and `token`, by what opens them. */
export async function census(sql: Queries, name: string, field: Field): Promise<{ current: number; old: number; broken: number }> {
  const { rows } = await sql.query(`SELECT token FROM ${name} WHERE token IS NOT NULL`)
  const counts = { current: 0, old: 0, broken: 0 }
  for (const { token } of rows) {
    try {
      counts[field.open(token as Stored, []).current ? 'current' : 'old']++
    } catch {
      counts.broken++
    }
  }
  return counts
}

/** What a pool and a client have in common. */
export interface Queries {
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

/** A connection of an application of its own, for as long as `work` takes. */
export async function connected<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: 'application' })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Everything that Keyturn has made in a database, and all triggers. */
export async function keyturnObjects(sql: Queries): Promise<string[]> {
  const { rows } = await sql.query(`
    SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'keyturn'
    UNION ALL SELECT p.proname || '()' FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'keyturn'
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname = 'keyturn'
    UNION ALL SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`)
  return rows.map(({ name }) => String(name))
}
