import { mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { type FailureKind, outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { environment, runProgram } from '../outside/program.ts'
import type { Call, World } from '../secret/call.ts'
import { secretRef } from '../secret/options.ts'
import type { Store } from '../secret/store.ts'
import { type Field, fieldFindings, fieldOf, heldIn, type Item, itemOptions } from './one-password/fields.ts'

export const options = z.strictObject({
  ...itemOptions,
  /** The program; `op` on the path unless given. */
  program: z.string().min(1).optional(),
  /** The token of a service account. Without it the program must be signed in: on a person's machine. */
  token: secretRef.optional(),
})

/**
 * Fields of an item of 1Password, by its command `op`. A name is the label of a field, or `Section/label`, or its id; the fields must be there,
 * once each. All names change in one edit; what is to be removed is emptied.
 *
 * Values go through a file that only this user may read, in a folder of its own that is taken away afterwards; never through arguments. The edit
 * sends the whole item: an edit of somebody else in that second is undone, and stands in the item's history.
 * Needs `op` 2 and a service account that may write in the vault, or a person who is signed in. After the documentation of 1Password CLI 2.
 */
export default function onePasswordOp(given: z.infer<typeof options>, world: World): Store {
  const { program = 'op', vault, item: query } = given
  const where = `the command op, item "${query}"`
  const run = async ({ signal }: Call, ...args: readonly string[]): Promise<unknown> => {
    const env = await environment(world)
    if (given.token !== undefined) env.OP_SERVICE_ACCOUNT_TOKEN = await world.read(given.token)
    const { code, stdout, stderr } = await runProgram({ where, command: [program, ...args, '--format', 'json'], env, signal })
    if (code === 0) return parsed(stdout, where)
    const [kind, why] = reasonOf(stderr)
    throw outside(kind, where, `${why} (it ended with ${code})`)
  }
  const open = async (call: Call) => (await run(call, 'item', 'get', query, '--vault', vault)) as Item
  return {
    provider: 'one-password',
    callMs: 60_000,
    check: (call, names) =>
      findings(async () => {
        await run(call, 'whoami')
        return fieldFindings(await open(call), names, where)
      }),
    async look(call, names) {
      return heldIn(await open(call), names, where)
    },
    async write(call, values) {
      const item = await open(call)
      const changes = new Map<Field, string>()
      for (const [name, value] of Object.entries(values)) changes.set(fieldOf(item, name, where), value ?? '')
      const isCurrent = [...changes].every(([field, value]) => (field.value ?? '') === value)
      if (isCurrent) return { version: versionOf(item) }
      const fields = item.fields?.map((field) => ({ ...field, value: changes.get(field) ?? field.value }))
      const folder = join(tmpdir(), `keyturn-op-${call.attempt}`)
      try {
        // A process that died in this attempt left it behind.
        await rm(folder, { recursive: true, force: true })
        await mkdir(folder, { mode: 0o700 })
        const template = join(folder, 'item.json')
        await writeFile(template, JSON.stringify({ ...item, fields }), { mode: 0o600, flag: 'wx' })
        const after = (await run(call, 'item', 'edit', item.id, '--vault', vault, `--template=${template}`)) as Item
        return { version: versionOf(after) }
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}

const versionOf = ({ version }: Item): string | null => (version === undefined ? null : String(version))

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw outside('uncertain', where, 'it printed no JSON')
  }
}

/** What the program says, by what it begins with: its sentences may repeat names, and are not kept. */
const reasons: readonly (readonly [pattern: RegExp, kind: FailureKind, why: string])[] = [
  [/too many requests|rate limit/i, 'busy', 'there were too many calls'],
  [/network|timed? ?out|connection/i, 'uncertain', '1Password was not reached'],
  [/isn't an item|isn't a vault|not found|could not find/i, 'refused', 'there is no such item or vault'],
  [/more than one/i, 'refused', 'the name is there more than once: give the id'],
  [/unauthorized|\(40[13]\)|not signed in|no account|sign in/i, 'refused', 'it is not signed in, or may not do that'],
]
const reasonOf = (stderr: string): readonly [kind: FailureKind, why: string] => {
  const found = reasons.find(([pattern]) => pattern.test(stderr))
  return found === undefined ? ['refused', 'it failed'] : [found[1], found[2]]
}
