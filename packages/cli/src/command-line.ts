import type { Call } from './call.ts'
import { declaresFields } from './flags/field-config.ts'
import { agreement, connection, fields, type Option, type Options } from './options.ts'

/** What the operator gave, of which the next command line is made. */
type Given = Pick<Call, 'verb' | 'args' | 'options'>

/** The command lines that go on from a rotation. */
export interface NextCommands {
  readonly resume: string
  readonly cancel: string
  readonly release: string
  readonly verify: string
  readonly status: string
}

/**
 * Command lines that mean the same database, fields and keys as the one given. They name variables and files; of keys and addresses
 * that stood on the command line an ellipsis is left.
 */
export function nextCommands(given: Given, rotationId: string): NextCommands {
  const keyring = given.verb.name === 'rotate' && !declaresFields(given.options) ? given.args.slice(0, 1) : []
  const line = (verb: string, args: readonly string[], options: readonly Option[]) =>
    ['keyturn', verb, ...args.map(quoted), ...options.flatMap((option) => repeated(option, given.options))].join(' ')
  return {
    // Who was not asked before cannot be asked now.
    resume: line('resume', [rotationId], [...connection, ...fields, agreement]),
    cancel: line('cancel', [rotationId], connection),
    release: line('release', [rotationId], connection),
    verify: line('verify', keyring, [...connection, ...fields]),
    status: line('status', [], connection),
  }
}

/** A command line for the same configuration and database as the one given. */
export function connectedCommand(given: Given, verb: string, args: readonly string[], more: readonly string[] = []): string {
  return ['keyturn', verb, ...args.map(quoted), ...more, ...connection.flatMap((option) => repeated(option, given.options))].join(' ')
}

function repeated({ flags }: Option, options: Options): string[] {
  const [flag = ''] = flags.split(' ')
  const name = flag.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()) as keyof Options
  const given = options[name]
  if (given === undefined || name === 'json') return []
  if (given === true) return [flag]
  return [given].flat().map((value) => `${flag} ${shown(name, value)}`)
}

function shown(name: keyof Options, value: string): string {
  if (name === 'old' || name === 'new') return '…'
  return name === 'database' && !/^(env|pglite|file):/.test(value) ? '…' : quoted(value)
}

/** As a shell takes it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
