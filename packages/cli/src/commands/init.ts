import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type Config, fail, migrate, schemaSql, variableOf } from '@keyturn/core'
import { secretMigrations } from '@keyturn/secrets'
import { type Call, print, say } from '../call.ts'
import { configNames, findConfig } from '../config-file.ts'
import { jsonTemplate, template } from '../config-template.ts'
import { stateOf, withDatabase } from '../database.ts'
import { exit } from '../exit.ts'

/**
 * Writes a configuration where there is none, and makes the schema where a database is known. May run again: what is there stays.
 * With --sql prints the SQL instead, for a DBA, and changes nothing.
 */
export default async function init(call: Call): Promise<number> {
  const { io, options } = call
  const found = await findConfig(io.cwd, options.config)
  const schema = found?.config.schema ?? 'keyturn'
  if (options.sql) {
    const sql = schemaSql(`"${schema.replaceAll('"', '""')}"`, [secretMigrations])
    print(call, { sql }, sql)
    return exit.done
  }
  const wrote = found === null ? await writeConfig(call) : null
  // What was written names a database, too.
  const config = (found ?? (await findConfig(io.cwd)))?.config ?? null
  const made = databaseKnown(call, config)
  if (made) {
    await withDatabase(call, config, (database) => makeTables(stateOf(database, schema), config), { create: true }).catch(
      (error: unknown) => {
        if (wrote !== null) say(call, `Wrote ${basename(wrote)}; the schema was not made.`)
        throw error
      },
    )
  }
  const lines = [
    wrote === null
      ? `${basename(found?.path ?? '')} is there already; it was left as it is.`
      : `Wrote ${basename(wrote)}. Declare your fields in it.`,
    made
      ? `Schema "${schema}" is ready.`
      : 'The schema was not made: no database is known yet. Give --database, or set the variable that the configuration names.',
    'Next: keyturn doctor',
  ]
  print(call, { config: wrote, schema: made ? schema : null }, lines.join('\n'))
  return exit.done
}

async function makeTables(state: ReturnType<typeof stateOf>, config: Config | null): Promise<void> {
  await migrate(state)
  if (config?.secrets !== undefined) await migrate(state, secretMigrations)
}

async function writeConfig({ io, options }: Call): Promise<string> {
  if (options.config !== undefined) throw fail('ERR_CONFIG_NOT_FOUND', options.config)
  const path = join(io.cwd, options.jsonConfig ? configNames[2] : configNames[0])
  if (existsSync(path)) throw fail('ERR_USAGE', `${basename(path)} is there already`)
  // The flag makes sure once more that nothing is ever overwritten.
  await writeFile(path, options.jsonConfig ? jsonTemplate : template, { flag: 'wx' })
  return path
}

function databaseKnown({ io, options }: Call, config: Config | null): boolean {
  if (options.database !== undefined) return true
  const ref = config?.database
  return ref !== undefined && ('file' in ref || variableOf(io.env, ref.env) !== undefined)
}
