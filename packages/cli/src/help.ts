import { exit, exitWords } from './exit.ts'
import type { Option } from './options.ts'
import { wrap } from './screens/words.ts'
import { type Verb, verbs } from './verbs.ts'

/** Lines of two columns, the second one broken between words. */
function columns(lines: readonly (readonly [string, string])[]): string {
  const width = Math.max(...lines.map(([left]) => left.length)) + 2
  return lines.map(([left, right]) => `  ${left.padEnd(width)}${wrap(right, width + 2)}`).join('\n')
}

const usage = ({ name, arguments: args }: Verb): string => ['keyturn', name, ...args, '[OPTION]…'].join(' ')
const options = (list: readonly Option[]): [string, string][] => list.map(({ flags, help }) => [flags, help])

/** What `keyturn --help` prints: a line a verb. */
export function help(): string {
  return `keyturn changes the keys and secrets of a running application in place, and proves that nothing was lost.

Usage: keyturn VERB [OPTION]…

${columns(verbs.map(({ name, summary }) => [name, summary]))}

"keyturn VERB --help" explains one of them; "keyturn --version" prints the version.
Results go to standard output, progress and errors to standard error. KEYTURN_DEBUG=1 shows where an error comes from.
`
}

/** What `keyturn audit --help` prints: the verbs of two words that begin with this one. */
export function helpOfGroup(word: string, group: readonly Verb[]): string {
  return `Usage: keyturn ${word} …

${columns(group.map(({ name, summary }) => [name, summary]))}

"keyturn ${group[0]?.name ?? word} --help" explains the first of them.
`
}

/** What `keyturn VERB --help` prints. */
export function helpOf(verb: Verb): string {
  return `keyturn ${verb.name}: ${verb.summary}.

Usage: ${usage(verb)}

Options:
${columns(options(verb.options))}

Example:
  ${verb.example}

Exit codes:
${columns(verb.exits.map((code) => [String(code), exitWords[code]]))}
`
}

/** The documentation of the command: `docs/command.md`. */
export function commandDocs(): string {
  const codes = Object.values(exit).map((code) => `| ${code} | ${exitWords[code]} |`)
  return `# The command

<!-- Written by "npm run docs" from packages/cli/src/verbs.ts. -->

\`\`\`text
${help()}\`\`\`

## Exit codes

| code | meaning |
| --- | --- |
${codes.join('\n')}

Ctrl-C during a rotation finishes its batch, says so and ends with 4; a second Ctrl-C ends at once, with ${130}. Killed at any
moment, a rotation goes on with \`keyturn resume\`. \`retire\` ends with 3 where values set aside were accepted, and with 1 where they were
not. \`verify\` ends with 1 also where a fence of a retired key is missing.

A run of a secret goes on with \`keyturn secrets resume\`, with \`keyturn secrets attend\`, or by itself where \`keyturn serve\` runs. In its grace,
when the new credential is in use and the old one only waits for its end, it ends with 0; where a person is needed, with 4; rolled back, with 1.
\`secrets sync\` ends with 3 while a store differs, and \`leak\` while something is exposed: see [secrets.md](secrets.md).

## For programs

With \`--json\` every verb prints exactly one line of JSON on standard output. An error is such a line too, and stands as a sentence on
standard error as well:

\`\`\`json
{"error":{"code":"ERR_CONFIG_NOT_FOUND","message":"there is no configuration at …"}}
\`\`\`

The codes are listed in [errors.md](errors.md). Messages hold no keys, values or connection strings.

## Without a configuration

\`--database\`, \`--field\`, \`--format\`, \`--key-rule\`, an old key and a new one are enough. Keys are best given by the names of environment
variables or files: what stands on a command line can be read in the list of processes and in the history of the shell. The line break at
the end of a file or of a line of standard input is not part of the key. \`resume\`, \`verify\` and \`census\` need the same flags as \`rotate\`;
\`status\`, \`pause\`, \`release\`, \`cancel\`, \`audit\` and \`certificate\` need no key, only \`--database\`, and find the rotations of every process
there. \`certificate verify\`, \`audit verify --file\`, \`presets\`, \`keygen\`, \`inspect\` and \`formats\` need no database either.

A field inside a JSON document is its column, a colon and a pointer: \`--field 'connectors.config:/headers/*/value'\`, where \`*\` stands for
any member or element. \`--where secret=true\` takes only values beside which a member is so; it holds for every \`--field\` of the line.

## An application that Keyturn knows

\`keyturn presets\` lists them. \`--preset NAME\` stands for the fields, the format, the key rule and the mode; \`--database\`, the old key and the
new one are still needed. A schema that does not fit is refused before anything is written, and values that look encrypted where the
preset knows of none are warned of.

${verbs.map((verb) => `## keyturn ${verb.name}\n\n\`\`\`text\n${helpOf(verb)}\`\`\`\n`).join('\n')}`
}
