import { fail } from '@keyturn/core'
import { type Call, say } from '../call.ts'
import { oneLine } from '../printable.ts'
import { typed } from '../run.ts'
import type { SecretsSession } from './opened-secrets.ts'

/**
 * Refuses what nobody agreed to, before anything is opened.
 *
 * @throws `ERR_USAGE` where --yes is not given and nobody can be asked
 */
export function assertConfirmable({ options, io, verb }: Call): void {
  if (options.yes || (io.isTTY && !options.json)) return
  throw fail(
    'ERR_USAGE',
    `"keyturn ${verb.name}" ends a credential and nobody can be asked here. Look at "keyturn secrets history", then give --yes`,
  )
}

/** Has the name of the secret typed, unless told --yes. @returns whether it was that one */
export async function agreedTo(
  call: Call,
  session: SecretsSession,
  { runId, becomes }: { readonly runId: string; readonly becomes: string },
): Promise<boolean> {
  if (call.options.yes) return true
  const { run } = await session.secrets.run(runId)
  say(call, oneLine(`Secret "${run.secret}" ${becomes}.`))
  return await typed(session, run.secret)
}
