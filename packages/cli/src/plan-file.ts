import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fail, type Plan, readPlan, writePlan } from '@keyturn/core'
import type { Call } from './call.ts'
import { kindOf } from './failure.ts'

/**
 * The plan of `--plan`, or null where none is named.
 *
 * @throws `ERR_USAGE` where the file cannot be read, `ERR_PLAN` where it is no plan
 */
export async function plannedBefore({ io, options }: Call): Promise<Plan | null> {
  if (options.plan === undefined) return null
  const text = await readFile(resolve(io.cwd, options.plan), 'utf8').catch((error: unknown) => {
    throw fail('ERR_USAGE', `the file of --plan cannot be read (${kindOf(error)})`)
  })
  return readPlan(text)
}

/** Writes a plan to the file of `--out`, which must not be there yet: a plan that somebody agreed to is not replaced. */
export async function keepPlan({ io, options }: Call, plan: Plan): Promise<string | null> {
  if (options.out === undefined) return null
  const path = resolve(io.cwd, options.out)
  await writeFile(path, writePlan(plan), { flag: 'wx' }).catch((error: unknown) => {
    throw fail('ERR_USAGE', `the file of --out cannot be made (${kindOf(error)}). Name one that is not there yet`)
  })
  return path
}
