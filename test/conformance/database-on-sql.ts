import { readEvents } from '../../packages/core/src/audit/log.ts'
import type { MemoryColumn, MemoryRow, MemoryTable } from '../../packages/core/src/databases/memory/table.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import type { SqlState } from '../../packages/core/src/state/sql.ts'
import type { ApplicationUnderTest, DatabaseUnderTest } from './database-under-test.ts'

const types: Record<MemoryColumn['type'], string> = {
  text: 'text',
  int: 'bigint',
  uuid: 'uuid',
  bytes: 'bytea',
  bool: 'boolean',
  json: 'json',
  jsonb: 'jsonb',
}
const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** The tables and the state that the suite wants, on Postgres or PGlite; the application writes on `sql`. */
export async function databaseOnSql(
  database: Database,
  sql: SqlState,
  { tables, readersGoOn }: { readonly tables: readonly MemoryTable[]; readonly readersGoOn: boolean },
): Promise<DatabaseUnderTest> {
  await migrate(sql)
  for (const table of tables) await sql.exec(creation(table))
  const events = () => readEvents(sql, sql.schema, { limit: 100_000 })
  return { database, application: applicationOnSql(sql, tables), events, readersGoOn }
}

function creation({ schema = 'public', name, key, columns }: MemoryTable): string {
  const column = ({ name, type, nullable = true, maxLength }: MemoryColumn) =>
    `${quoted(name)} ${maxLength === undefined ? types[type] : `varchar(${maxLength})`}${nullable ? '' : ' NOT NULL'}`
  const primary = `PRIMARY KEY (${key.map(({ name }) => quoted(name)).join(', ')})`
  return `CREATE SCHEMA IF NOT EXISTS ${quoted(schema)};
    CREATE TABLE ${quoted(schema)}.${quoted(name)} (${[...[...key, ...columns].map(column), primary].join(', ')})`
}

function applicationOnSql(sql: SqlState, tables: readonly MemoryTable[]): ApplicationUnderTest {
  const table = (name: string) => {
    const found = tables.find((each) => name === each.name || name === `${each.schema}.${each.name}`)
    if (found === undefined) throw new Error(`the suite has no table ${name}`)
    return `${quoted(found.schema ?? 'public')}.${quoted(found.name)}`
  }
  const list = (row: MemoryRow, from: number, separator: string) =>
    Object.keys(row)
      .map((name, index) => `${quoted(name)} = $${from + index}`)
      .join(separator)
  return {
    rows: async (name) => (await sql.query(`SELECT * FROM ${table(name)}`)).rows as MemoryRow[],
    insert: async (name, row) => {
      const columns = Object.keys(row)
      const places = columns.map((_, index) => `$${index + 1}`).join(', ')
      await sql.query(`INSERT INTO ${table(name)} (${columns.map(quoted).join(', ')}) VALUES (${places})`, Object.values(row))
    },
    update: async (name, key, changes) => {
      const where = list(key, Object.keys(changes).length + 1, ' AND ')
      await sql.query(`UPDATE ${table(name)} SET ${list(changes, 1, ', ')} WHERE ${where}`, [
        ...Object.values(changes),
        ...Object.values(key),
      ])
    },
    delete: async (name, key) => {
      await sql.query(`DELETE FROM ${table(name)} WHERE ${list(key, 1, ' AND ')}`, Object.values(key))
    },
  }
}
