import type { Config } from '@keyturn/core'
import { type Call, print } from '../call.ts'
import { configNames, findConfig } from '../config-file.ts'
import { type Check, environmentChecks, fail, ok, warn } from '../diagnosis/check.ts'
import { databaseChecks } from '../diagnosis/database.ts'
import { exit } from '../exit.ts'
import { describe } from '../failure.ts'
import { declaresFields } from '../flags/field-config.ts'
import { Lines } from '../lines.ts'
import { oneLine } from '../printable.ts'
import { type Resolved, resolveCall } from '../session.ts'

/** Looks at everything that a rotation needs, one after the other, and changes nothing. Ends with 1 if anything fails. */
export default async function doctor(call: Call): Promise<number> {
  const checks: Check[] = [ok('node', `Node ${process.versions.node}`)]
  const lines = new Lines(call.io)
  try {
    const resolved = await configuration(call, lines, checks)
    if (resolved !== null) checks.push(...(await environmentChecks(call, resolved.selection.config, resolved.env)))
    if (resolved !== null || call.options.database !== undefined) checks.push(...(await databaseChecks(call, resolved)))
  } finally {
    lines.close()
  }
  const failed = checks.some(({ state }) => state === 'fail')
  print(
    call,
    { ok: !failed, checks },
    checks.map(({ state, name, detail }) => oneLine(`${state.padEnd(4)}  ${name}: ${detail}`)).join('\n'),
  )
  return failed ? exit.failed : exit.done
}

/** The configuration, or null where there is none that can be used; either way with a check. */
async function configuration(call: Call, lines: Lines, checks: Check[]): Promise<Resolved | null> {
  const { io, options } = call
  try {
    const file = await findConfig(io.cwd, options.config)
    if (file === null && !declaresFields(options)) {
      checks.push(warn('configuration', `none of ${configNames.join(', ')} is in ${io.cwd}. "keyturn init" writes one`))
      return null
    }
    const resolved = await resolveCall(call, lines)
    checks.push(ok('configuration', `${file?.path ?? 'from the command line'}, ${size(resolved.selection.config)}`))
    return resolved
  } catch (error) {
    const { code, message } = describe(error, call.labels)
    checks.push(fail('configuration', `${message} [${code}]`))
    return null
  }
}

function size({ keyrings, fields }: Config): string {
  const [k, f] = [Object.keys(keyrings).length, Object.keys(fields).length]
  return `${k} keyring${k === 1 ? '' : 's'}, ${f} field${f === 1 ? '' : 's'}`
}
