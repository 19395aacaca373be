import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Config, type KeyRule, keyFromText, type SecretRef, variableOf } from '@keyturn/core'
import type { Call } from '../call.ts'
import { describe, kindOf } from '../failure.ts'

/** One thing that was looked at. */
export interface Check {
  readonly name: string
  readonly state: 'ok' | 'warn' | 'fail'
  /** What was found. Names and counts, never a key or an address. */
  readonly detail: string
}
export const ok = (name: string, detail: string): Check => ({ name, state: 'ok', detail })
export const warn = (name: string, detail: string): Check => ({ name, state: 'warn', detail })
export const fail = (name: string, detail: string): Check => ({ name, state: 'fail', detail })

/** A secret that a configuration names, what for, and the rule its text must follow where that is known. */
interface Need {
  readonly ref: SecretRef
  readonly what: string
  readonly rule?: KeyRule | undefined
  readonly optional?: true
}

/** Whether everything that the configuration names is set, and is a key by its rule. */
export async function environmentChecks({ io, labels }: Call, config: Config, env: Call['io']['env']): Promise<Check[]> {
  return Promise.all(
    needs(config).map(async ({ ref, what, rule, optional }): Promise<Check> => {
      const [name, text] =
        'env' in ref ? [labels.get(ref.env) ?? ref.env, variableOf(env, ref.env)] : [ref.file, await contents(resolve(io.cwd, ref.file))]
      if (text === undefined || text === '') return (optional ? warn : fail)(name, `not set; it is needed for ${what}`)
      if (typeof text !== 'string') return fail(name, `it cannot be read (${text.code}); it is needed for ${what}`)
      if (rule === undefined) return ok(name, `set, for ${what}`)
      try {
        keyFromText(text.replace(/\r?\n$/, ''), rule, name)
        return ok(name, `a key by the rule "${rule}", for ${what}`)
      } catch (error) {
        return fail(name, describe(error).message)
      }
    }),
  )
}

async function contents(path: string): Promise<string | { readonly code: string }> {
  return readFile(path, 'utf8').catch((error: unknown) => ({ code: kindOf(error) }))
}

/** All secrets that a configuration names, each once. */
function needs({ database, redis, keyrings, fields }: Config): Need[] {
  const found: Need[] = database === undefined ? [] : [{ ref: database, what: 'the database' }]
  if (redis !== undefined) found.push({ ref: redis, what: 'Redis' })
  for (const [name, keyring] of Object.entries(keyrings)) {
    const what = `keyring "${name}"`
    if ('primary' in keyring) {
      const { primary, previous = [], fallback, sign, keyRule } = keyring
      // A secret that signs may be longer than a key: opening it says whether it is one.
      const rule = sign === undefined ? keyRule : undefined
      found.push({ ref: primary, what, rule }, ...previous.map((ref) => ({ ref, what, rule })))
      if (fallback !== undefined) found.push({ ref: fallback, what, rule, optional: true })
    } else if ('table' in keyring) {
      const { key, previous = [], keyRule: rule } = keyring
      found.push(...[key, ...previous].map((ref) => ({ ref, what, rule })))
    } else if ('root' in keyring) {
      for (const root of [keyring.root].flat())
        if ('env' in root || 'file' in root) found.push({ ref: root as SecretRef, what: `the root of ${what}` })
    }
  }
  for (const [name, { reads = [] }] of Object.entries(fields)) {
    for (const read of reads) {
      if (typeof read === 'string' || read.key === undefined) continue
      for (const ref of [read.key, ...(read.previous ?? [])]) found.push({ ref, what: `field "${name}"`, rule: read.keyRule })
    }
  }
  return [...new Map(found.map((need) => [JSON.stringify([need.ref, need.rule]), need])).values()]
}
