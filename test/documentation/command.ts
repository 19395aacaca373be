import { commandDocs } from '../../packages/cli/src/help.ts'
import { verbs } from '../../packages/cli/src/verbs.ts'
import { runChild } from '../harness/child.ts'
import { runCommand } from '../harness/command.ts'

/** docs/command.md, from the table of verbs. */
export const commandDocument = commandDocs

/** What the command itself prints for `--help`, first its own, from a process, and then each verb's. */
export async function helpTexts(): Promise<string[]> {
  const texts: string[] = []
  for (const verb of [[], ...verbs.map(({ name }) => name.split(' '))]) {
    const argv = [...verb, '--help']
    const { code, stdout, stderr } = await (verb.length === 0
      ? runChild('packages/cli/bin/keyturn.js', argv, { node: [] })
      : runCommand(argv))
    if (code !== 0) throw new Error(`keyturn ${verb.join(' ')} --help ended with ${code}: ${stderr}`)
    texts.push(stdout.trim())
  }
  return texts
}
