import type { BoundType } from '../../field/bound.ts'
import type { Location } from '../../field/location.ts'
import type { ColumnShape, Holds, TableShape } from '../../rotation/database.ts'
import type { Sql } from '../../state/sql.ts'
import { quote, quoteTable } from './identifiers.ts'

const kinds: Readonly<Record<string, string>> = {
  r: 'table',
  p: 'table',
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
  c: 'a composite type',
}

/** How the types that values can stand in hold them. Domains, citext and char(n) compare or pad in ways of their own and are not here. */
const holds: Readonly<Record<string, Holds>> = { text: 'text', varchar: 'text', bytea: 'bytes', json: 'json', jsonb: 'jsonb' }

/** Types whose values have one canonical form, so that a value can be bound to them. */
const boundTypes: Readonly<Record<string, BoundType>> = {
  text: 'text',
  varchar: 'text',
  int2: 'int',
  int4: 'int',
  int8: 'int',
  uuid: 'uuid',
  bytea: 'bytes',
  bool: 'bool',
}

/** The shapes of the tables of these locations; null where there is none. */
export async function inspect(sql: Sql, locations: readonly Location[]): Promise<(TableShape | null)[]> {
  const shapes: (TableShape | null)[] = []
  for (const location of locations) {
    const columns = locations
      .filter((other) => other.schema === location.schema && other.table === location.table)
      .map(({ column }) => column)
    shapes.push(await inspectTable(sql, location, [...new Set(columns)]))
  }
  return shapes
}

async function inspectTable(sql: Sql, { schema, table }: Location, fieldColumns: readonly string[]): Promise<TableShape | null> {
  const name = schema === null ? quote(table) : `${quote(schema)}.${quote(table)}`
  const { rows } = await sql.query(
    `SELECT c.oid::text AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, greatest(c.reltuples, 0)::float8 AS estimate,
            pg_total_relation_size(c.oid)::float8 AS bytes, row_security_active(c.oid) AS hides_rows,
            pg_has_role(c.relowner, 'USAGE') AS owned, has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE') AS lockable,
            EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AND c.relkind = 'r' AS inherited,
            EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type = '2' AND w.ev_enabled <> 'D') AND c.relkind IN ('r', 'p') AS ruled
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`,
    [name],
  )
  const [row] = rows as unknown as [CatalogRow?]
  if (row === undefined) return null
  return {
    schema: row.schema,
    table: row.name,
    kind: kindOf(row),
    columns: await readColumns(sql, row.oid),
    key: await readKey(sql, row.oid, fieldColumns),
    rows: Math.round(await countRows(sql, row)),
    bytes: Math.round(row.bytes),
    owned: row.owned,
    lockable: row.lockable,
    missingPrivileges: [
      ...(await missingPrivileges(sql, row.oid, fieldColumns)),
      ...(row.hides_rows ? ['BYPASSRLS (row level security hides rows from this user)'] : []),
    ],
    notes: await readNotes(sql, row.oid, fieldColumns),
  }
}

function kindOf({ kind, inherited, ruled }: CatalogRow): string {
  if (inherited) return 'a table with inheriting tables'
  return ruled ? 'a table with a rule that rewrites updates' : (kinds[kind] ?? 'something else')
}

interface CatalogRow {
  readonly oid: string
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly estimate: number
  readonly bytes: number
  readonly hides_rows: boolean
  readonly owned: boolean
  readonly lockable: boolean
  readonly inherited: boolean
  readonly ruled: boolean
}

/** Tables up to this size are counted; that takes a few milliseconds. */
const countedBytes = 8 * 2 ** 20

/** The number of rows: counted where that is cheap, else the statistics' estimate, else an estimate from the size at 120 bytes a row. */
async function countRows(sql: Sql, { oid, schema, name, kind, estimate, bytes }: CatalogRow): Promise<number> {
  if (kind === 'p') {
    const { rows } = await sql.query(
      `SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::float8 AS estimate FROM pg_partition_tree($1::oid) p JOIN pg_class c ON c.oid = p.relid AND p.isleaf`,
      [oid],
    )
    return Number(rows[0]?.estimate ?? 0)
  }
  const { rows: allowed } = await sql.query(`SELECT has_table_privilege($1::oid, 'SELECT') AS readable`, [oid])
  if (kind === 'r' && bytes <= countedBytes && allowed[0]?.readable) {
    const { rows } = await sql.query(`SELECT count(*)::float8 AS rows FROM ${quoteTable({ schema, table: name })}`)
    return Number(rows[0]?.rows ?? 0)
  }
  return estimate > 0 ? estimate : bytes / 120
}

async function readColumns(sql: Sql, oid: string): Promise<ColumnShape[]> {
  const { rows } = await sql.query(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, t.typname AS base, a.attnotnull AS not_null,
            a.atthasdef OR a.attidentity <> '' AS assigned, a.attgenerated <> '' AS generated,
            CASE WHEN t.typname = 'varchar' AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS max_length,
            CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS domain_over
       FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [oid],
  )
  return rows.map((row) => ({
    name: row.name as string,
    type: typeOf(row),
    holds: row.generated ? null : (holds[row.base as string] ?? null),
    maxLength: row.max_length === null ? null : Number(row.max_length),
    nullable: !row.not_null,
    boundType: boundTypes[row.base as string] ?? null,
    assigned: row.assigned as boolean,
  }))
}

function typeOf({ type, generated, domain_over }: Record<string, unknown>): string {
  if (generated) return `${type} (generated)`
  return domain_over === null ? String(type) : `${type} (a domain over ${domain_over})`
}

/** The unique key that rows are walked by: complete, immediate, valid, over columns that are NOT NULL and hold no field. */
async function readKey(sql: Sql, oid: string, fieldColumns: readonly string[]): Promise<string[]> {
  const { rows } = await sql.query(
    `SELECT array_to_json(array_agg(a.attname ORDER BY k.position)) #>> '{}' AS columns
       FROM pg_index i
       CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
       LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
      WHERE i.indrelid = $1::oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
        AND k.position <= i.indnkeyatts
      GROUP BY i.indexrelid, i.indisprimary HAVING bool_and(a.attnotnull) ORDER BY i.indisprimary DESC, count(*), i.indexrelid`,
    [oid],
  )
  const keys = rows.map((row) => JSON.parse(row.columns as string) as string[])
  return keys.find((key) => !key.some((column) => fieldColumns.includes(column))) ?? []
}

/** SELECT of the whole table, because a swap names a row by its place; UPDATE of the columns will do. */
async function missingPrivileges(sql: Sql, oid: string, fieldColumns: readonly string[]): Promise<string[]> {
  const { rows } = await sql.query(
    `SELECT p.privilege FROM (VALUES ('SELECT'), ('UPDATE')) AS p(privilege)
      WHERE NOT has_table_privilege($1::oid, p.privilege) AND (p.privilege = 'SELECT' OR EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attname = ANY($2::text[]) AND NOT has_column_privilege($1::oid, a.attnum, p.privilege)))`,
    [oid, fieldColumns],
  )
  return rows.map((row) => row.privilege as string)
}

/** What else happens when rows change: triggers and publications. They are the application's; the plan names them. */
async function readNotes(sql: Sql, oid: string, fieldColumns: readonly string[]): Promise<string[]> {
  const { rows } = await sql.query(
    `SELECT 'trigger "' || t.tgname || '" runs for each update'
              || CASE WHEN t.tgtype::int & 2 = 2 THEN ': where it changes a value that is rewritten, the row is set aside'
                 ELSE ': a history that it keeps goes on holding values under the old key' END AS note FROM pg_trigger t
      WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype::int & 16 = 16
        AND (t.tgattr = ''::int2vector OR EXISTS (
          SELECT FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attname = ANY($2::text[]) AND a.attnum = ANY(t.tgattr::int2[])))
     UNION ALL
     SELECT 'it is unlogged: a crash of the server empties it' FROM pg_class c WHERE c.oid = $1::oid AND c.relpersistence = 'u'
     UNION ALL
     SELECT 'publication "' || p.pubname || '" sends each rewritten row' FROM pg_publication p
       LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = $1::oid WHERE (p.puballtables OR r.oid IS NOT NULL) AND p.pubupdate`,
    [oid, fieldColumns],
  )
  return rows.map((row) => row.note as string)
}

/** Names of all tables that this user can see, those on the search path without their schema. */
export async function tables(sql: Sql): Promise<string[]> {
  const { rows } = await sql.query(
    `SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast' ORDER BY 1`,
  )
  return rows.map((row) => row.name as string)
}

/** Key columns with their types, as the walk needs them. Without a length: a cast to `character` or `bit` would cut the key. */
export async function keyTypes(sql: Sql, { schema, table, key }: TableShape): Promise<{ name: string; type: string }[]> {
  const { rows } = await sql.query(
    `SELECT a.attname AS name, format_type(a.atttypid, -1) AS type FROM pg_attribute a
      WHERE a.attrelid = to_regclass($1) AND a.attname = ANY($2::text[])`,
    [`${quote(schema)}.${quote(table)}`, key],
  )
  const types = new Map(rows.map((row) => [row.name as string, row.type as string]))
  return key.map((name) => ({ name, type: types.get(name) ?? 'text' }))
}

/** Whether one of these columns is part of a unique index, which others may refer to. */
export async function anyUnique(sql: Sql, { schema, table }: TableShape, columns: readonly string[]): Promise<boolean> {
  const { rows } = await sql.query(
    `SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])
      WHERE i.indrelid = to_regclass($1) AND i.indisunique AND a.attname = ANY($2::text[])) AS found`,
    [`${quote(schema)}.${quote(table)}`, columns],
  )
  return rows[0]?.found === true
}
