import { fail } from '../../errors.ts'
import type { Walk } from '../../rotation/database.ts'
import type { Sql } from '../../state/sql.ts'
import { quote, quoteTable } from './identifiers.ts'

/**
 * The hold: statement triggers that refuse writes of some columns, and every INSERT, until the application has its new key.
 *
 * A writer that waited for the lock of a transaction rotation would otherwise land a value of its old key right after the commit.
 * The trigger commits with the new values, so that such a writer meets it. `ENABLE ALWAYS`: a session that set itself to `replica`
 * meets it too. It stands on each partition as well, because a statement trigger fires for the table that the statement names.
 */

const trigger = 'keyturn_hold'

/** Makes a hold within the transaction of the rotation. Creates the schema, the function and the record if they are not there. */
export async function hold(sql: Sql, schema: string, walks: readonly Walk[], rotationId: string): Promise<void> {
  await sql.exec(`
    CREATE SCHEMA IF NOT EXISTS ${schema};
    CREATE TABLE IF NOT EXISTS ${schema}.hold (
      rotation_id text NOT NULL, table_schema text NOT NULL, table_name text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (table_schema, table_name));
    CREATE OR REPLACE FUNCTION ${schema}.refuse_write() RETURNS trigger LANGUAGE plpgsql AS $body$
      BEGIN
        RAISE EXCEPTION 'writes of table "%" are held by a key rotation', TG_TABLE_NAME
          USING ERRCODE = 'KT001', HINT = 'Restart the application with its new key, then run "keyturn release".';
      END $body$;`)
  for (const walk of walks) {
    const columns = walk.columns.map(({ column }) => quote(column)).join(', ')
    for (const table of await partitions(sql, walk)) {
      await sql.exec(`
        CREATE OR REPLACE TRIGGER ${trigger} BEFORE INSERT OR UPDATE OF ${columns} ON ${quoteTable(table)} FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.refuse_write();
        ALTER TABLE ${quoteTable(table)} ENABLE ALWAYS TRIGGER ${trigger};`)
      const { count } = await sql.query(
        `INSERT INTO ${schema}.hold AS h (rotation_id, table_schema, table_name) VALUES ($1, $2, $3)
           ON CONFLICT (table_schema, table_name) DO UPDATE SET rotation_id = excluded.rotation_id WHERE h.rotation_id = excluded.rotation_id`,
        [rotationId, table.schema, table.table],
      )
      if (count === 0) throw fail('ERR_HELD', table.table, 'of another keyring')
    }
  }
}

/**
 * Switches the triggers of a rotation's own hold off, within its transaction, which has the tables locked; `hold` switches them on again.
 * The lock that this takes is weaker than the one it has, so that it never waits.
 */
export async function liftHold(sql: Sql, schema: string, rotationId: string): Promise<void> {
  const { rows: found } = await sql.query(`SELECT to_regclass($1) IS NOT NULL AS found`, [`${schema}.hold`])
  if (!found[0]?.found) return
  const { rows } = await sql.query(
    `SELECT table_schema AS schema, table_name AS table FROM ${schema}.hold
      WHERE rotation_id = $1 AND to_regclass(format('%I.%I', table_schema, table_name)) IS NOT NULL ORDER BY 1, 2`,
    [rotationId],
  )
  for (const table of rows as unknown as { schema: string; table: string }[]) {
    await sql.exec(`ALTER TABLE ${quoteTable(table)} DISABLE TRIGGER ${trigger}`)
  }
}

async function partitions(sql: Sql, walk: Walk): Promise<{ schema: string; table: string }[]> {
  const { rows } = await sql.query(
    `SELECT n.nspname AS schema, c.relname AS table FROM pg_class root
       CROSS JOIN LATERAL (SELECT root.oid AS relid UNION SELECT relid FROM pg_partition_tree(root.oid)) p
       JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE root.oid = to_regclass($1) ORDER BY 1, 2`,
    [quoteTable(walk)],
  )
  return rows as unknown as { schema: string; table: string }[]
}

/** Holds that stand, by rotation. */
export async function holds(sql: Sql, schema: string): Promise<{ rotationId: string; tables: string[] }[]> {
  const { rows: found } = await sql.query(`SELECT to_regclass($1) IS NOT NULL AS found`, [`${schema}.hold`])
  if (!found[0]?.found) return []
  const { rows } = await sql.query(
    `SELECT rotation_id, array_to_json(array_agg(table_schema || '.' || table_name ORDER BY 1)) #>> '{}' AS tables FROM ${schema}.hold GROUP BY rotation_id ORDER BY rotation_id`,
  )
  return rows.map((row) => ({ rotationId: row.rotation_id as string, tables: JSON.parse(row.tables as string) as string[] }))
}

/** Ends a hold within a transaction. A table that was dropped meanwhile needs no release. */
export async function releaseHold(sql: Sql, schema: string, rotationId: string): Promise<string[]> {
  const { rows: found } = await sql.query(`SELECT to_regclass($1) IS NOT NULL AS found`, [`${schema}.hold`])
  if (!found[0]?.found) return []
  const { rows } = await sql.query(
    `DELETE FROM ${schema}.hold WHERE rotation_id = $1 RETURNING table_schema AS schema, table_name AS table`,
    [rotationId],
  )
  const tables = rows as unknown as { schema: string; table: string }[]
  for (const table of tables) {
    const { rows: exists } = await sql.query(`SELECT to_regclass($1) IS NOT NULL AS found`, [quoteTable(table)])
    if (exists[0]?.found) await sql.exec(`DROP TRIGGER IF EXISTS ${trigger} ON ${quoteTable(table)}`)
  }
  return tables.map(({ schema, table }) => `${schema}.${table}`).sort()
}
