import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Config, fail, isVariableName } from '@keyturn/core'
import { type Call, caution } from '../call.ts'
import { kindOf } from '../failure.ts'
import type { Lines } from '../lines.ts'

type SecretRef = NonNullable<Config['database']>

/** Keys that the flags give, as references into `env`. */
export interface FlagKeys {
  readonly old: readonly SecretRef[]
  readonly new: SecretRef | null
  /** Values of files, standard input and literals, under reserved names. */
  readonly env: { readonly [name: string]: string }
}

/**
 * Collects the keys of `--old-env`, `--old-file`, `--old-stdin`, `--old` and the same of `new`.
 *
 * The line break at the end of a file or line is not part of the key; one inside is refused, because a file with several keys, or
 * of another kind, was meant.
 *
 * @throws `ERR_USAGE` where a file cannot be read, holds several lines, or nothing comes from standard input
 */
export async function flagKeys(call: Call, lines: Lines): Promise<FlagKeys> {
  const { options } = call
  const env: Record<string, string> = {}
  const keep = (value: string, label: string): SecretRef => {
    const name = `KEYTURN_COMMAND_KEY_${Object.keys(env).length + 1}`
    env[name] = value
    call.labels.set(name, `the key of ${label}`)
    return { env: name }
  }
  const sources = async (side: 'old' | 'new', given: Given): Promise<SecretRef[]> => [
    ...given.env.map((name) => ({ env: environmentName(name, `--${side}-env`) })),
    ...(await Promise.all(given.file.map((file) => keyFile(call.io.cwd, file, side)))).map((key) => keep(key, `--${side}-file`)),
    ...(given.stdin ? [keep(await keyLine(lines, side), `--${side}-stdin`)] : []),
    ...given.literal.map((key) => keep(nonEmpty(key, `--${side}`), `--${side}`)),
  ]
  if (options.old !== undefined || options.new !== undefined) {
    caution(
      call,
      'a key on the command line stands in the history of the shell and in the list of processes. Use --old-env, --old-file or --old-stdin',
    )
  }
  const { oldEnv = [], oldFile = [], old: literal = [] } = options
  const old = await sources('old', { env: oldEnv, file: oldFile, stdin: options.oldStdin === true, literal })
  const one = (value: string | undefined) => (value === undefined ? [] : [value])
  const fresh = await sources('new', {
    env: one(options.newEnv),
    file: one(options.newFile),
    stdin: options.newStdin === true,
    literal: one(options.new),
  })
  if (fresh.length > 1) throw fail('ERR_USAGE', 'there can be one new key only. Give one of --new-env, --new-file, --new-stdin')
  return { old, new: fresh[0] ?? null, env }
}

interface Given {
  readonly env: readonly string[]
  readonly file: readonly string[]
  readonly stdin: boolean
  readonly literal: readonly string[]
}

/**
 * The name of an environment variable. What is none may be a key that was given in its place: it is not repeated.
 *
 * @throws `ERR_USAGE`
 */
export function environmentName(name: string, option: string): string {
  if (isVariableName(name)) return name
  throw fail('ERR_USAGE', `${option} needs the name of an environment variable, not a key`)
}

async function keyFile(cwd: string, file: string, side: string): Promise<string> {
  const text = await readFile(resolve(cwd, file), 'utf8').catch((error: unknown) => {
    throw fail('ERR_USAGE', `the file of --${side}-file cannot be read (${kindOf(error)})`)
  })
  const key = nonEmpty(text.replace(/\r?\n$/, ''), `the file of --${side}-file`)
  if (/[\r\n]/.test(key)) throw fail('ERR_USAGE', `the file of --${side}-file has several lines. It must hold one key and nothing else`)
  return key
}

async function keyLine(lines: Lines, side: string): Promise<string> {
  const line = await lines.next(`${side} key: `, { hidden: true })
  return nonEmpty(line ?? '', `standard input, for --${side}-stdin,`)
}

function nonEmpty(key: string, where: string): string {
  if (key === '') throw fail('ERR_USAGE', `${where} is empty. A key was expected`)
  return key
}
