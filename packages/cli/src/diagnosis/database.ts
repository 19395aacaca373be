import type { Call } from '../call.ts'
import { type Opened, stateOf, withDatabase } from '../database.ts'
import { describe } from '../failure.ts'
import { count } from '../screens/words.ts'
import { type Resolved, withKeyturn } from '../session.ts'
import { type Check, fail, ok, warn } from './check.ts'

/** Whether the database answers, whether our tables are there or may be made, and whether the keys open the keyrings. */
export async function databaseChecks(call: Call, resolved: Resolved | null): Promise<Check[]> {
  const config = resolved?.selection.config ?? null
  try {
    return await withDatabase(call, config, async (database) => {
      const checks = [ok('database', await version(database))]
      const schema = config?.schema ?? 'keyturn'
      const state = await stateCheck(database, schema)
      checks.push(state)
      if (resolved !== null) checks.push(...(await keyringChecks(call, database, resolved)))
      return checks
    })
  } catch (error) {
    const { code, message } = describe(error, call.labels)
    return [fail('database', `${message} [${code}]`)]
  }
}

async function version(database: Opened): Promise<string> {
  const { rows } = await stateOf(database).query(`SELECT current_setting('server_version') AS version`)
  return `${'pool' in database ? 'PostgreSQL' : 'PGlite, PostgreSQL'} ${String(rows[0]?.version)}`
}

async function stateCheck(database: Opened, schema: string): Promise<Check> {
  const { rows } = await stateOf(database, schema).query(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1::text) AS exists,
            has_database_privilege(current_database(), 'CREATE') AS may`,
    [schema],
  )
  const [row] = rows
  if (row?.exists) return ok('state', `schema "${schema}" is there`)
  if (row?.may) return warn('state', `schema "${schema}" is not there yet; "keyturn init" makes it`)
  return fail(
    'state',
    `schema "${schema}" is not there, and this user may not make it. Give the output of "keyturn init --sql" to your DBA`,
  )
}

/** Opens the keyrings for looking: one that does not exist yet is not made. */
async function keyringChecks(call: Call, database: Opened, resolved: Resolved): Promise<Check[]> {
  try {
    const { keyrings } = await withKeyturn(call, { ...resolved, database, readOnly: true, warned: new Set() }, (keyturn) =>
      keyturn.status(),
    )
    return keyrings.map(({ name, kind, versions, due }) => {
      if (kind === 'stored' && versions.length === 0) return warn(`keyring "${name}"`, 'it is not there yet; the first use makes it')
      if (due.length > 0) return warn(`keyring "${name}"`, `due: ${due.join('; ')}`)
      return ok(`keyring "${name}"`, `opens; ${count(versions.length, 'version')}`)
    })
  } catch (error) {
    const { code, message } = describe(error, call.labels)
    return [fail('keyrings', `${message} [${code}]`)]
  }
}
