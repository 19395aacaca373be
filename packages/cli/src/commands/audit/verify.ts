import { createReadStream } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { type AuditReport, checkCheckpoint, expectedHead, fail, verifyLines } from '@keyturn/core'
import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { kindOf } from '../../failure.ts'
import { auditScreen } from '../../screens/audit.ts'
import { withSession } from '../../session.ts'

/**
 * Checks every event of the audit log, or of an export of it, and with --expect that it holds a head that was kept elsewhere. Changes
 * nothing; for an export no database is needed.
 */
export default async function verify(call: Call): Promise<number> {
  const expect = await expected(call)
  const { file } = call.options
  if (file !== undefined) return show(call, await verifyExport(resolve(call.io.cwd, file), expect))
  return withSession(call, 'record', async ({ keyturn }) => show(call, await keyturn.audit.verify(expect === undefined ? {} : { expect })))
}

/** The head of --expect; of a checkpoint whose signer is named by --public-key, once its signature fits. */
async function expected({ io, options: { expect, publicKey } }: Call): Promise<string | undefined> {
  if (publicKey === undefined) return expect
  if (expect === undefined) throw fail('ERR_USAGE', '--public-key goes with --expect CHECKPOINT, whose signature it checks')
  const key = await readFile(resolve(io.cwd, publicKey), 'utf8').catch((error: unknown) => {
    throw fail('ERR_USAGE', `the file of --public-key cannot be read (${kindOf(error)})`)
  })
  return checkCheckpoint(expect.trim(), key).head
}

async function verifyExport(path: string, expect: string | undefined): Promise<AuditReport> {
  await access(path).catch((error: unknown) => {
    throw fail('ERR_USAGE', `the file of --file cannot be read (${kindOf(error)})`)
  })
  const head = expect === undefined ? null : expectedHead(expect, null)
  return await verifyLines(createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY }), head)
}

function show(call: Call, found: AuditReport): number {
  print(call, found, auditScreen(found, call.options.expect !== undefined))
  return found.intact ? exit.done : exit.failed
}
