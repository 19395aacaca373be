import type { AuditEvent } from '../audit/event.ts'
import { append } from '../audit/log.ts'
import { fail } from '../errors.ts'
import type { KeyState } from '../keyring/key-state.ts'
import type { KeyringStore, StoredKeyring, StoredVersion, Wrapping } from '../keyring/keyring-store.ts'
import type { Sql, SqlState } from '../state/sql.ts'

/** Messages that AES-GCM with random nonces bears under one key (NIST SP 800-38D, 8.3). */
const MAX_MESSAGES = 2 ** 32

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (text: unknown): Uint8Array => new Uint8Array(Buffer.from(String(text), 'hex'))
const date = (text: unknown): Date | null => (typeof text === 'string' ? new Date(text) : null)
const utc = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** Keeps keyrings in Postgres or PGlite; the audit event is saved in the same transaction. `migrate` must have run. */
export default function postgresKeyrings(state: SqlState): KeyringStore {
  const { schema } = state
  return {
    name: 'postgres',
    load: (name) => load(state, schema, name),
    list: async () =>
      (await state.query(`SELECT name FROM ${schema}.keyring ORDER BY name COLLATE "C"`)).rows.map(({ name }) => String(name)),
    save: (keyring, event) => state.transaction((sql) => save(sql, schema, keyring, event)),
    saveWith: (keyring, event, work) =>
      state.transaction(async (sql) => {
        await work(sql)
        await save(sql, schema, keyring, event)
      }),
    reserve: (keyring, versionId, messages) => reserve(state, schema, { keyring, versionId, messages }),
    messages: async (keyring) => {
      const { rows } = await state.query(`SELECT id, messages::text AS messages FROM ${schema}.key_version WHERE keyring = $1::text`, [
        keyring,
      ])
      return new Map(rows.map(({ id, messages }) => [String(id), Number(messages)]))
    },
    now: async () => {
      const { rows } = await state.query(`SELECT ${utc('clock_timestamp()')} AS now`)
      return new Date(String(rows[0]?.now))
    },
  }
}

/** One statement, so that it sees one revision: at READ COMMITTED two statements could see parts of two. */
async function load(sql: Sql, schema: string, name: string): Promise<StoredKeyring | null> {
  const { rows } = await sql.query(
    `SELECT k.revision::text AS revision, k.seal_id, encode(k.mac, 'hex') AS mac,
       (SELECT json_agg(json_build_object('id', v.id, 'number', v.number, 'state', v.state, 'compromised', v.compromised,
           'created', ${utc('v.created_at')}, 'activated', ${utc('v.activated_at')},
           'retired', ${utc('v.retired_at')}, 'destroyed', ${utc('v.destroyed_at')}) ORDER BY v.number)
        FROM ${schema}.key_version v WHERE v.keyring = k.name)::text AS versions,
       (SELECT json_agg(json_build_object('id', w.id, 'root', w.root_id, 'wrapped', encode(w.wrapped, 'hex'), 'added', ${utc('w.added_at')})
          ORDER BY w.added_at, w.root_id)
        FROM ${schema}.key_wrapping w
        WHERE w.id = k.seal_id OR w.id IN (SELECT v.id FROM ${schema}.key_version v WHERE v.keyring = k.name))::text AS wrappings
     FROM ${schema}.keyring k WHERE k.name = $1::text`,
    [name],
  )
  const [row] = rows
  if (row === undefined) return null
  const list = (text: unknown): Record<string, unknown>[] => (typeof text === 'string' ? JSON.parse(text) : [])
  const wrappings = Map.groupBy(list(row.wrappings), ({ id }) => String(id))
  const wrappingsOf = (id: string): Wrapping[] =>
    (wrappings.get(id) ?? []).map(({ root, wrapped, added }) => ({
      rootId: String(root),
      wrapped: bytes(wrapped),
      addedAt: new Date(String(added)),
    }))
  const sealId = String(row.seal_id)
  return {
    name,
    revision: Number(row.revision),
    seal: { id: sealId, wrappings: wrappingsOf(sealId) },
    mac: bytes(row.mac),
    versions: list(row.versions).map(
      (version): StoredVersion => ({
        id: String(version.id),
        number: Number(version.number),
        state: String(version.state) as KeyState,
        compromised: version.compromised === true,
        createdAt: new Date(String(version.created)),
        activatedAt: date(version.activated),
        retiredAt: date(version.retired),
        destroyedAt: date(version.destroyed),
        wrappings: wrappingsOf(String(version.id)),
      }),
    ),
  }
}

/** Set-based, so that the number of statements does not depend on the number of keys. The audit event comes last. */
async function save(sql: Sql, schema: string, keyring: StoredKeyring, event: AuditEvent): Promise<void> {
  await saveRevision(sql, schema, keyring)
  await saveVersions(sql, schema, keyring)
  await saveWrappings(sql, schema, keyring)
  await append(sql, schema, event)
}

async function saveRevision(sql: Sql, schema: string, { name, revision, seal, mac }: StoredKeyring): Promise<void> {
  const values = [name, String(revision), seal.id, hex(mac)]
  if (revision > 1) {
    const { rows } = await sql.query(
      `UPDATE ${schema}.keyring SET revision = $2::text::bigint, mac = decode($4::text, 'hex')
       WHERE name = $1::text AND revision = $2::text::bigint - 1 AND seal_id = $3::text RETURNING name`,
      values,
    )
    if (rows.length === 0) throw fail('ERR_REVISION', name)
    return
  }
  const { rows } = await sql.query(
    `INSERT INTO ${schema}.keyring (name, revision, seal_id, mac) VALUES ($1::text, $2::text::bigint, $3::text, decode($4::text, 'hex'))
     ON CONFLICT DO NOTHING RETURNING name`,
    values,
  )
  if (rows.length === 1) return
  const { rows: taken } = await sql.query(`SELECT 1 FROM ${schema}.keyring WHERE name = $1::text`, [name])
  throw fail(taken.length === 1 ? 'ERR_REVISION' : 'ERR_KEY_ID_TAKEN', name)
}

async function saveVersions(sql: Sql, schema: string, { name, versions }: StoredKeyring): Promise<void> {
  const { rows } = await sql.query(
    `INSERT INTO ${schema}.key_version AS v (keyring, id, number, state, compromised, created_at, activated_at, retired_at, destroyed_at)
     SELECT $1::text, x.id, x.number, x.state, x.compromised, x."createdAt", x."activatedAt", x."retiredAt", x."destroyedAt"
     FROM jsonb_to_recordset($2::text::jsonb) AS x(id text, number integer, state text, compromised boolean,
       "createdAt" timestamptz, "activatedAt" timestamptz, "retiredAt" timestamptz, "destroyedAt" timestamptz)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, compromised = excluded.compromised, activated_at = excluded.activated_at,
       retired_at = excluded.retired_at, destroyed_at = excluded.destroyed_at
     WHERE v.keyring = excluded.keyring AND v.number = excluded.number RETURNING v.id`,
    [name, JSON.stringify(versions.map(({ wrappings: _, ...facts }) => facts))],
  )
  // A row that was left alone is another key's: of another keyring, or of another number.
  if (rows.length !== versions.length) throw fail('ERR_KEY_ID_TAKEN', name)
}

/** What is there stays as it is: a wrapping is added or deleted, never replaced. */
async function saveWrappings(sql: Sql, schema: string, { seal, versions }: StoredKeyring): Promise<void> {
  const keys = [seal, ...versions]
  const wanted = keys.flatMap(({ id, wrappings }) =>
    wrappings.map(({ rootId, wrapped, addedAt }) => ({ id, root: rootId, wrapped: hex(wrapped), added: addedAt })),
  )
  const records = `jsonb_to_recordset($1::text::jsonb) AS x(id text, root text, wrapped text, added timestamptz)`
  await sql.query(
    `INSERT INTO ${schema}.key_wrapping (id, root_id, wrapped, added_at)
     SELECT x.id, x.root, decode(x.wrapped, 'hex'), x.added FROM ${records}
     ON CONFLICT (id, root_id) DO UPDATE SET wrapped = excluded.wrapped, added_at = excluded.added_at WHERE key_wrapping.wrapped <> excluded.wrapped`,
    [JSON.stringify(wanted)],
  )
  await sql.query(
    `DELETE FROM ${schema}.key_wrapping w
     WHERE w.id IN (SELECT jsonb_array_elements_text($2::text::jsonb))
       AND NOT EXISTS (SELECT 1 FROM ${records} WHERE x.id = w.id AND x.root = w.root_id)`,
    [JSON.stringify(wanted), JSON.stringify(keys.map(({ id }) => id))],
  )
}

interface Block {
  readonly keyring: string
  readonly versionId: string
  readonly messages: number
}

async function reserve(sql: Sql, schema: string, { keyring, versionId, messages }: Block): Promise<number> {
  const { rows } = await sql.query(
    `UPDATE ${schema}.key_version SET messages = messages + $3::text::bigint
     WHERE keyring = $1::text AND id = $2::text AND messages + $3::text::bigint <= ${MAX_MESSAGES} RETURNING messages::text AS messages`,
    [keyring, versionId, String(messages)],
  )
  if (rows[0] !== undefined) return Number(rows[0].messages)
  const { rows: found } = await sql.query(`SELECT 1 FROM ${schema}.key_version WHERE keyring = $1::text AND id = $2::text`, [
    keyring,
    versionId,
  ])
  throw fail(found.length === 1 ? 'ERR_KEY_EXHAUSTED' : 'ERR_KEY_NOT_FOUND', keyring, versionId)
}
