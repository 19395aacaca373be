import { isKeyturnError, type Keyturn, open, type RotationResult, summary } from '@keyturn/core'
import pg from 'pg'
import { encryptedColumns, encryptedFields, keyring } from '../encrypted-fields.ts'
import { type Arguments, NEW, OLD, readArguments, usage } from './command-line.ts'

/** Exit codes, as those of `keyturn`. */
const exit = { done: 0, failed: 1, refused: 2, remain: 3, paused: 4 } as const

const say = (text: string) => console.error(text)
let attempted = false

async function rotate(keyturn: Keyturn, { online, yes, exposed }: Arguments): Promise<number> {
  if (exposed) say('warning: a key on the command line can be seen in the list of processes. Use --stdin')
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const options = {
    mode: online ? 'online' : 'transaction',
    // In a transaction nothing is accepted by this: whatever does not open is listed and rolls everything back.
    accept: yes || !online,
    signal: stop.signal,
    onProgress: () => {
      attempted = true
    },
  } as const
  const unfinished = online ? await unfinishedRun(keyturn) : undefined
  const result = unfinished === undefined ? await keyturn.rotate(keyring, options) : await keyturn.resume(unfinished, options)
  return report(result, await held(keyturn))
}

/** An online run that was interrupted: it is gone on with. */
async function unfinishedRun(keyturn: Keyturn): Promise<string | undefined> {
  const over = ['completed', 'cancelled', 'failed']
  return (await keyturn.status(keyring)).rotations.find(({ mode, state }) => mode === 'online' && !over.includes(state))?.id
}

function report(result: RotationResult, holds: readonly string[]): number {
  const { state, failed, failedCount } = result
  for (const { field, row, reason } of failed) say(`${field} ${JSON.stringify(row)} ${reason}`)
  if (state === 'failed') {
    say(`${failedCount} values do not open. Everything was rolled back; nothing was changed.`)
    return exit.failed
  }
  if (state !== 'completed') {
    say(`The rotation is ${state}. Every value is readable. Give the same command again to go on.`)
    return exit.paused
  }
  console.log(summary(result))
  if (holds.length > 0) {
    say('Credentials cannot be saved until the application has its new key. Now:')
    say('  1. set ENCRYPTION_KEY to the new key and restart the application')
    say('  2. in the restarted container: rotate-encryption-key --release')
  }
  return failedCount > 0 ? exit.remain : exit.done
}

/** Rotations that hold tables of ours. */
async function held(keyturn: Keyturn): Promise<string[]> {
  const ours = encryptedColumns.map((column) => `public.${column.split('.')[0]}`)
  return (await keyturn.status()).holds
    .filter(({ tables }) => tables.some((table) => ours.includes(table)))
    .map(({ rotationId }) => rotationId)
}

/** Lets the application write again, provided that its environment, in which this runs, has the key that the values are under. */
async function release(keyturn: Keyturn): Promise<number> {
  const rotations = await held(keyturn)
  const { failedCount } = rotations.length === 0 ? { failedCount: 0 } : await keyturn.verify({ keyring, throttle: { share: 1 } })
  if (failedCount > 0) {
    say(`${failedCount} values do not open under the ENCRYPTION_KEY of this container. Restart the application with the new key first.`)
    return exit.refused
  }
  const tables: string[] = []
  for (const id of rotations) tables.push(...(await keyturn.release(id)))
  console.log(tables.length === 0 ? 'nothing was held' : `released: ${tables.join(', ')}`)
  return exit.done
}

const tasks = {
  rotate: { fields: encryptedFields(NEW, OLD), work: rotate },
  release: { fields: encryptedFields('ENCRYPTION_KEY'), work: release },
}

async function main(): Promise<number> {
  const told = await readArguments(process.argv.slice(2))
  if (told === null) {
    say(usage)
    return exit.refused
  }
  if (told.task === 'help') {
    console.log(usage)
    return exit.done
  }
  if (!told.env.DATABASE_URL) {
    say('rotate-encryption-key: DATABASE_URL is not set')
    return exit.refused
  }
  const { fields, work } = tasks[told.task]
  const pool = new pg.Pool({ connectionString: told.env.DATABASE_URL, max: 3, application_name: 'rotate-encryption-key' })
  pool.on('error', () => {})
  let keyturn: Keyturn | undefined
  try {
    keyturn = await open(fields, { pool, env: told.env, warn: say, actor: 'rotate-encryption-key' })
    return await work(keyturn, told)
  } catch (error) {
    // The message of a foreign error may quote a value or an address.
    say(`rotate-encryption-key: ${isKeyturnError(error) ? `${error.message} [${error.code}]` : 'the database or the system failed'}`)
    return attempted ? exit.failed : exit.refused
  } finally {
    await keyturn?.close()
    await pool.end()
  }
}

process.exitCode = await main()
