import { text } from 'node:stream/consumers'
import { fail } from '@keyturn/core'
import type { Parts, Paste } from '@keyturn/secrets'
import type { Call } from '../../call.ts'
import { follow, waitMs } from '../../secrets/follow.ts'
import { type SecretsSession, secretRunOf, withSecrets } from '../../secrets/opened-secrets.ts'

/** Gives a run what its task asks for, from standard input and never from the command line; then goes on with it. */
export default async function provide(call: Call): Promise<number> {
  waitMs(call)
  return await withSecrets(call, 'acting', async (session) => {
    const runId = await secretRunOf(call, session)
    const { run } = await session.secrets.run(runId)
    // Nothing is read for a run that asks for nothing.
    const paste = run.facts.task?.paste ?? []
    await session.secrets.provide(runId, paste.length === 0 ? {} : await given(call, session, paste))
    return await follow(call, session, { runId })
  })
}

async function given(call: Call, { lines }: SecretsSession, paste: readonly Paste[]): Promise<Parts> {
  const { io, options } = call
  const asked = options.part ?? (io.isTTY ? paste.map(({ part }) => part) : [])
  const parts: Record<string, string> = {}
  for (const part of asked)
    parts[part] = (await lines.next(`${paste.find((each) => each.part === part)?.label ?? part}: `, { hidden: true })) ?? ''
  if (asked.length > 0) return parts
  const [only, ...others] = paste
  const all = await text(io.stdin)
  return others.length === 0 && only !== undefined ? { [only.part]: all } : partsIn(all, paste)
}

/** @throws `ERR_PROVIDED`, which repeats nothing of it */
function partsIn(json: string, paste: readonly Paste[]): Parts {
  const label = paste.map(({ part }) => part).join(', ')
  let found: unknown
  try {
    found = JSON.parse(json)
  } catch {
    found = null
  }
  if (typeof found !== 'object' || found === null || Object.values(found).some((value) => typeof value !== 'string'))
    throw fail('ERR_PROVIDED', label, 'several parts are a JSON object of texts, or lines in the order of --part')
  return found as Parts
}
