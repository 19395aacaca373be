import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

export const OLD = 'OLD_ENCRYPTION_KEY'
export const NEW = 'NEW_ENCRYPTION_KEY'

export const usage = `usage: rotate-encryption-key --old KEY --new KEY [--online [--yes]]
       rotate-encryption-key --release

Re-encrypts every stored credential from one ENCRYPTION_KEY to another, in one transaction.

  --old KEY, --new KEY  the keys, 32 characters each. Keys on a command line can be seen in the list of
                        processes: prefer --stdin, or the variables ${OLD} and ${NEW}
  --stdin               reads the keys from standard input, a line each, the old one first
  --online              for an application that reads both keys (ENCRYPTION_KEY_PREVIOUS): batches, no pause.
                        The same command again goes on with a run that was interrupted
  --yes                 with --online: values that do not open are set aside
  --release             once the application runs with the new key: lets it write again

Exit: 0 done · 1 failed or rolled back · 2 nothing was attempted · 3 done, but values were set aside · 4 interrupted
`

/** What the command was told. */
export interface Arguments {
  readonly task: 'rotate' | 'release' | 'help'
  readonly online: boolean
  readonly yes: boolean
  /** The keys by the names that messages may use; the environment beneath them. */
  readonly env: { readonly [name: string]: string | undefined }
  /** Whether a key stands in the list of processes. */
  readonly exposed: boolean
}

/** Reads the command line. @returns null for one that makes no sense; why is not said, because it may quote a key */
export async function readArguments(argv: readonly string[]): Promise<Arguments | null> {
  const values = parsed(argv)
  if (values === null) return null
  const { old, new: fresh, stdin = false, online = false, yes = false, release = false, help = false } = values
  const literal = old !== undefined || fresh !== undefined
  if ((release && (literal || stdin || online)) || (stdin && literal) || (yes && !online)) return null
  const [first, second] = stdin ? await lines() : [old, fresh]
  const env = { ...process.env, [OLD]: first ?? process.env[OLD], [NEW]: second ?? process.env[NEW] }
  return { task: help ? 'help' : release ? 'release' : 'rotate', online, yes, env, exposed: literal }
}

function parsed(argv: readonly string[]) {
  try {
    const flag = { type: 'boolean' } as const
    const text = { type: 'string' } as const
    const options = { old: text, new: text, stdin: flag, online: flag, yes: flag, release: flag, help: flag }
    return parseArgs({ args: [...argv], options }).values
  } catch {
    return null
  }
}

/** Missing lines are empty keys, which are refused. */
async function lines(): Promise<[string, string]> {
  const found: string[] = []
  for await (const line of createInterface({ input: process.stdin })) found.push(line)
  return [found[0] ?? '', found[1] ?? '']
}
