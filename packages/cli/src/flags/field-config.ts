import { type Config, fail, nearest } from '@keyturn/core'
import type { Call } from '../call.ts'
import type { Options } from '../options.ts'
import { type Format, parseFormat } from './format.ts'
import type { FlagKeys } from './key-source.ts'
import type { ChosenPreset } from './preset-config.ts'

/** Name of the keyring that flags make, and of its rotations. */
export const COMMAND_KEYRING = 'command'

const keyRules = ['hex', 'base64', 'base64url', 'utf8', 'passphrase'] as const

/** What a command line comes to: a configuration, the keyring meant, and its fields if not all. */
export interface Selection {
  readonly config: Config
  readonly keyring: string | null
  readonly fields: readonly string[] | null
  /** Where `--preset` chose them. */
  readonly preset?: ChosenPreset
}

/** Whether the flags declare fields of their own, rather than choose from a configuration. */
export function declaresFields({
  preset,
  format,
  oldEnv,
  oldFile,
  oldStdin,
  old,
  newEnv,
  newFile,
  newStdin,
  new: fresh,
}: Options): boolean {
  return [preset, format, oldEnv, oldFile, oldStdin, old, newEnv, newFile, newStdin, fresh].some((value) => value !== undefined)
}

/**
 * The configuration that flags stand for.
 *
 * Without `--to` an environment keyring `command`, whose primary is the new key, and fields that go on writing their format and
 * read it under the old one. With `--to` fields of that keyring of the configuration, which write kt1 and read the old format.
 *
 * @param base - the configuration file, or null if there is none
 * @throws `ERR_USAGE` for what is missing or does not go together
 */
export function declared(call: Call, base: Config | null, keys: FlagKeys): Selection {
  const { options } = call
  const refs = options.field ?? []
  if (refs.length === 0) throw fail('ERR_USAGE', base === null ? 'say which values: --field table.column' : noField)
  if (options.format === undefined)
    throw fail('ERR_USAGE', 'say how the values are encrypted: --format hex-colon, --format blob or --format kt1')
  if (keys.old.length === 0) throw fail('ERR_USAGE', 'the old key is missing: give --old-env, --old-file or --old-stdin')
  const format = parseFormat(options.format)
  const keyring = options.to ?? COMMAND_KEYRING
  assertMeant(call, keyring)
  if (options.to !== undefined) assertTarget(base, options.to, keys)
  else if (keys.new === null) throw fail('ERR_USAGE', 'the new key is missing: give --new-env, --new-file or --new-stdin, or --to KEYRING')
  if (options.insertedFirst && options.bind === undefined) throw fail('ERR_USAGE', '--inserted-first goes with --bind')
  const rule = keyRule(options)
  const fields: Record<string, Config['fields'][string]> = {}
  for (const ref of refs) fields[fieldName(ref, fields)] = field(ref, { keyring, format, rule, keys, options })
  return {
    config: {
      ...base,
      keyrings:
        keys.new === null || options.to !== undefined ? (base?.keyrings ?? {}) : { [COMMAND_KEYRING]: { primary: keys.new, ...rule } },
      fields,
    },
    keyring,
    fields: Object.keys(fields),
  }
}

/** Another keyring than the one the flags make, or name by --to, would be passed over in silence. @throws `ERR_USAGE` */
export function assertMeant({ args, verb }: Call, keyring: string): void {
  if (verb.arguments.includes('[KEYRING]') && args[0] !== undefined && args[0] !== keyring) throw fail('ERR_USAGE', twoKeyrings)
}

const noField =
  '--field is missing: keys and a format on the command line belong to a field of the command line, --field table.column. Leave them out to use the fields and keys of the configuration'
const twoKeyrings =
  'a keyring was named, and the flags declare fields of a keyring of their own. Leave out the name; or leave out --format and the keys, to use the fields of the configuration; or give --to, to move values to that keyring'

function assertTarget(base: Config | null, to: string, keys: FlagKeys): void {
  if (base === null) throw fail('ERR_USAGE', '--to names a keyring of a configuration, and there is none. Run "keyturn init"')
  if (!Object.hasOwn(base.keyrings, to)) throw fail('ERR_UNKNOWN_NAME', 'keyring', to, nearest(to, Object.keys(base.keyrings)))
  if (keys.new !== null) throw fail('ERR_USAGE', '--to takes its key from the keyring. Leave out the new key')
}

function keyRule({ keyRule: rule }: Options): { keyRule?: (typeof keyRules)[number] } {
  if (rule === undefined) return {}
  const found = keyRules.find((one) => one === rule)
  if (found === undefined) throw fail('ERR_USAGE', `--key-rule must be one of ${keyRules.join(', ')}`)
  return { keyRule: found }
}

interface Parts {
  readonly keyring: string
  readonly format: Format
  readonly rule: ReturnType<typeof keyRule>
  readonly keys: FlagKeys
  readonly options: Options
}

function field(column: string, { keyring, format, rule, keys, options }: Parts): Config['fields'][string] {
  const [key, ...previous] = keys.old
  return {
    column,
    keyring,
    ...(options.to === undefined ? { writes: format } : {}),
    ...(options.bind === undefined ? {} : { bind: names(options.bind) }),
    ...(options.insertedFirst ? { insertedFirst: true } : {}),
    ...(options.keepEmpty ? { empty: 'keep' as const } : {}),
    ...(options.keep === undefined ? {} : { keep: options.keep }),
    ...(options.where === undefined ? {} : { where: Object.fromEntries(options.where.map(condition)) }),
    ...(options.onlyEncrypted ? { only: 'encrypted' as const } : {}),
    ...(options.keyId === undefined ? {} : { keyId: options.keyId }),
    ...(options.sensitive === undefined ? {} : { sensitive: names(options.sensitive) }),
    reads: [{ ...format, ...(key === undefined ? {} : { key }), ...(previous.length === 0 ? {} : { previous }), ...rule }],
  }
}

const names = (list: string): string[] => list.split(',').map((name) => name.trim())

/** `secret=true`, `type=header`: a value that reads as a JSON literal is one, anything else is text. */
function condition(text: string): [member: string, value: string | number | boolean | null] {
  const [, member = '', value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (member === '') throw fail('ERR_USAGE', '--where needs a member and its value: --where secret=true')
  return [member, /^(?:true|false|null|-?\d{1,15})$/.test(value) ? (JSON.parse(value) as number | boolean | null) : value]
}

/** The permanent name that a column has unless declared otherwise: `table.column`, other characters as `_`. */
function fieldName(ref: string, taken: object): string {
  const name = ref
    .replaceAll('"', '')
    .replaceAll(/[^A-Za-z0-9._-]/g, '_')
    .slice(0, 120)
  if (name === '') throw fail('ERR_USAGE', 'an empty --field was given')
  let unique = name
  for (let n = 2; Object.hasOwn(taken, unique); n++) unique = `${name}.${n}`
  return unique
}

/**
 * The part of a configuration that the arguments choose.
 *
 * @throws `ERR_USAGE` where several keyrings are meant by nothing, `ERR_UNKNOWN_NAME` with the nearest names
 */
export function selected({ options, args }: Call, config: Config): Selection {
  const refs = options.field ?? []
  const fields = refs.map((ref) => {
    const found = Object.entries(config.fields).find(([name, { column }]) => name === ref || column === ref)?.[0]
    if (found === undefined) throw fail('ERR_UNKNOWN_NAME', 'field', ref, nearest(ref, Object.keys(config.fields)))
    return found
  })
  return { config, keyring: args[0] ?? null, fields: fields.length === 0 ? null : fields }
}

/**
 * The keyring of a selection; the only one of the configuration where none is named.
 *
 * @throws `ERR_USAGE` with the names where there are several, `ERR_UNKNOWN_NAME` with the nearest
 */
export function keyringOf({ config, keyring, fields }: Selection): string {
  const all = Object.keys(config.keyrings)
  const names = fields === null ? all : [...new Set(fields.flatMap((name) => config.fields[name]?.keyring ?? []))]
  if (keyring !== null) {
    if (!all.includes(keyring)) throw fail('ERR_UNKNOWN_NAME', 'keyring', keyring, nearest(keyring, all))
    return keyring
  }
  const [only, ...others] = names
  if (only === undefined) throw fail('ERR_USAGE', 'the configuration has no keyring')
  if (others.length > 0) throw fail('ERR_USAGE', `say which keyring: ${names.join(', ')}`)
  return only
}
