import { fail, nearest } from '@keyturn/core'
import { Command, CommanderError } from 'commander'
import type { Call } from './call.ts'
import { help, helpOf, helpOfGroup } from './help.ts'
import type { Io } from './io.ts'
import type { Option, Options } from './options.ts'
import { type Verb, verbs } from './verbs.ts'

/** A verb that was asked for, or what was printed instead (help, the version). */
export type Parsed = { readonly verb: Verb; readonly call: Call } | null

/**
 * Reads the command line by the table of verbs. A verb is one word or two: `rotate`, `audit verify`.
 *
 * @throws `ERR_USAGE` in one sentence, with the nearest verb or option; it repeats no value of an option
 */
export async function parse(argv: readonly string[], io: Io, version: string): Promise<Parsed> {
  const [first] = argv
  if (first === undefined) throw nothingToDo()
  if (['--version', '-V'].includes(first)) return shown(io, `${version}\n`)
  if (['--help', '-h', 'help'].includes(first)) return shown(io, helpFor(argv.slice(1)))
  if (first.startsWith('-')) throw misplaced(argv)
  const verb = verbAt(argv)
  if (verb !== undefined) return parseVerb(verb, argv.slice(verb.name.split(' ').length), io)
  if (group(first).length > 0 && ['--help', '-h'].includes(argv[1] ?? '')) return shown(io, helpFor([first]))
  throw unknown(argv)
}

/** The verb that the words begin with: that of two words before that of one. */
function verbAt(words: readonly string[]): Verb | undefined {
  const named = (verb: Verb) => verb.name.split(' ').every((word, index) => words[index] === word)
  return verbs.findLast((verb) => named(verb) && verb.name.includes(' ')) ?? verbs.find(named)
}

/** The verbs of two words that begin with this one. */
const group = (word: string): Verb[] => verbs.filter(({ name }) => name.startsWith(`${word} `))

async function parseVerb(verb: Verb, words: readonly string[], io: Io): Promise<Parsed> {
  const command = quiet(new Command(verb.name), io, () => helpOf(verb))
  for (const option of verb.options) addOption(command, option)
  try {
    await command.parseAsync([...words], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode !== 0) throw usageError(error, verb)
    return null
  }
  assertArguments(verb, command.args)
  return { verb, call: { verb, args: command.args, options: command.opts<Options>(), io, attempted: false, labels: new Map() } }
}

/** Help for the words after `help`. @throws `ERR_USAGE` where they name no verb */
function helpFor(words: readonly string[]): string {
  const named = words.filter((word) => !word.startsWith('-'))
  const verb = verbAt(named)
  const [first] = named
  if (verb !== undefined) return helpOf(verb)
  if (first === undefined) return help()
  if (named.length > 1 || group(first).length === 0) throw unknown(named)
  return helpOfGroup(first, group(first))
}

function shown({ stdout }: Io, text: string): null {
  stdout.write(text)
  return null
}

/** Words that name no verb: they are repeated only where they stand for one, never an option's value. */
function unknown([first = '', second]: readonly string[]): Error {
  const names = group(first).map(({ name }) => name)
  if (names.length === 0) return usage(`there is no verb "${first}"${suggestion(first, verbNames)}`)
  if (second === undefined || second.startsWith('-')) return usage(`say what of "keyturn ${first}": ${names.join(', ')}`, first)
  const named = `${first} ${second}`
  return usage(`there is no verb "${named}"${suggestion(named, names)}`, first)
}

function misplaced(argv: readonly string[]): Error {
  const verb = argv.map((_, index) => verbAt(argv.slice(index))).find((found) => found !== undefined)
  return verb === undefined ? nothingToDo() : usage(`options come after the verb: keyturn ${verb.name} …`, verb.name)
}

/** Neither ends the process nor prints errors: both are ours to do. */
function quiet(command: Command, io: Io, text: () => string): Command {
  command.helpInformation = text
  return command
    .exitOverride()
    .allowExcessArguments()
    .showSuggestionAfterError(false)
    .configureOutput({ writeOut: (out) => void io.stdout.write(out), writeErr: () => {} })
}

function addOption(command: Command, { flags, help, repeated }: Option): void {
  if (repeated) command.option(flags, help, (value: string, all: string[] = []) => [...all, value])
  else command.option(flags, help)
}

function assertArguments({ name, arguments: wanted }: Verb, args: readonly string[]): void {
  const needed = wanted.filter((argument) => !argument.startsWith('['))
  if (args.length < needed.length) throw usage(`"keyturn ${name}" needs ${needed.join(' and ')}`, name)
  if (args.length <= wanted.length || wanted.at(-1)?.endsWith('…]')) return
  const many = wanted.length === 1 ? 'one argument' : `${wanted.length} arguments`
  const takes = wanted.length === 0 ? 'takes no argument' : `takes ${many}, ${wanted.join(' ')}`
  throw usage(`"keyturn ${name}" ${takes}; ${args.length} were given`, name)
}

const usage = (sentence: string, verb?: string) =>
  fail('ERR_USAGE', `${sentence}${sentence.endsWith('?') ? '' : '.'} See "keyturn ${verb === undefined ? '' : `${verb} `}--help"`)

/** Commander's error in our words. Its own sentence is not used: it repeats what was given, which may be a key. */
function usageError({ code, message }: CommanderError, { name, options }: Verb): Error {
  const named = /'([^'= ]*)/.exec(message)?.[1] ?? ''
  if (code === 'commander.unknownOption') {
    const flags = options.map(({ flags }) => flags.split(' ')[0] ?? '')
    return usage(`there is no option ${named} of "keyturn ${name}"${suggestion(named, [...flags, '--help'])}`, name)
  }
  if (code === 'commander.optionMissingArgument') return usage(`the option ${named} needs a value`, name)
  return usage('the command line could not be read', name)
}

const verbNames = verbs.map(({ name }) => name)
const nothingToDo = () => usage(`say what to do: ${verbNames.join(', ')}`)

/** Only what is near: lists of all options belong into the help. */
function suggestion(name: string, names: readonly string[]): string {
  const words = nearest(name, names)
  return words.includes('Did you mean') ? words : ''
}
