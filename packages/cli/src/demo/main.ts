import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import { open, type RotationResult } from '@keyturn/core'
import { nextCommands } from '../command-line.ts'
import { exit } from '../exit.ts'
import type { Io } from '../io.ts'
import { planScreen } from '../screens/plan.ts'
import { progressScreen } from '../screens/progress.ts'
import { rotationScreen } from '../screens/rotation.ts'
import { verificationScreen } from '../screens/verification.ts'
import { count, number, wrap } from '../screens/words.ts'
import { config, seed } from './application.ts'
import { retirement } from './retirement.ts'
import type { Stage } from './stage.ts'
import { Writer } from './writer.ts'

/** What the demo is told. */
export interface DemoOptions {
  readonly rows: number
  readonly json: boolean
  readonly io: Io
}

const WIDTH = 100

/**
 * The main job on an embedded database: an application whose tokens stand under one key of its environment, moved to a keyring while
 * it writes; then the key rotated once more, and the one before retired by proof. Everything is in memory and gone at the end.
 *
 * @returns the exit code: 0 when nothing was lost
 */
export async function runDemo({ rows, json, io }: DemoOptions): Promise<number> {
  const say = (text: string) => {
    if (!json) io.stdout.write(`${text.split('\n').map(fold).join('\n')}\n`)
  }
  say(`An example application: four tables, ${count(rows, 'token')} of third parties, all under one ENCRYPTION_KEY.`)
  say('Its database is an embedded PGlite in memory, which has one session: the writer takes turns with the')
  say('rotation. That writers at the same moment are safe too is what the tests show on a real Postgres.')
  const db = await PGlite.create()
  const key = () => randomBytes(32).toString('hex')
  const env = { ENCRYPTION_KEY: key(), KEYTURN_ROOT_KEY: key(), SIGNING_KEY: key() }
  const seeded = await seed(db, rows, env.ENCRYPTION_KEY)
  say(`${count(seeded.damaged.size, 'value')} of them were damaged on purpose.\n`)
  const keyturn = await open(config, { pglite: db, env, actor: 'demo', warn: () => {} })
  const writer = new Writer(db, keyturn, seeded)
  const stage: Stage = { keyturn, db, seeded, writer, env, say, rotate: () => rotated(stage, io, json) }
  try {
    const result = await firstRotation(stage)
    const retired = await retirement(stage)
    const audit = await writer.audit()
    say(closing(stage, audit))
    if (json) io.stdout.write(`${JSON.stringify({ ...summaryOf(result), ...audit })}\n`)
    const lost = audit.lostUpdates + audit.unreadable
    return retired && lost === 0 && result.state === 'completed' ? exit.done : exit.failed
  } finally {
    await writer.stop()
    await keyturn.close()
    await db.close()
  }
}

/** From one key of the environment to a keyring. */
async function firstRotation({ keyturn, say, rotate }: Stage): Promise<RotationResult> {
  say('$ keyturn plan app\n')
  say(planScreen(await keyturn.plan('app')))
  say('\n$ keyturn rotate app --yes        (the application goes on writing)\n')
  const result = await rotate()
  say(rotationScreen(result, [], nextCommands({ verb: { name: 'demo', arguments: [] }, args: [], options: {} }, result.id)))
  say('\n$ keyturn verify\n')
  // The values that do not open were listed already.
  say(verificationScreen({ ...(await keyturn.verify()), failed: [] }))
  return result
}

/** A rotation, while the application writes. */
async function rotated({ keyturn, writer }: Stage, io: Io, json: boolean): Promise<RotationResult> {
  const screen = progressScreen(io)
  writer.start()
  try {
    return await keyturn.rotate('app', {
      accept: true,
      throttle: { share: 1, targetMs: 50 },
      ...(json ? {} : { onProgress: screen.report }),
    })
  } finally {
    await writer.stop()
    screen.end()
  }
}

function summaryOf({ total, rotated, skipped, failed, failedCount, conflicts }: RotationResult) {
  return { total, rotated, skipped, failed, failedCount, conflicts }
}

/** A line no wider than the screen; what is a row of a table, or a command, is none. */
function fold(line: string): string {
  const indent = /^ */.exec(line)?.[0].length ?? 0
  return line.length <= WIDTH ? line : `${' '.repeat(indent)}${wrap(line.trimStart(), indent === 0 ? 0 : indent + 2, WIDTH)}`
}

function closing({ writer, seeded }: Stage, { lostUpdates, unreadable }: Awaited<ReturnType<Writer['audit']>>): string {
  return `
The application wrote ${number(writer.writes)} values meanwhile; ${number(writer.reads)} values were read back through it afterwards:
${number(lostUpdates)} updates lost, ${number(unreadable)} values unreadable that were readable before.

What to do next
  The ${count(seeded.damaged.size, 'damaged value')} stand as they were: repair or clear them by hand.
  The old ENCRYPTION_KEY can leave the environment: nothing that opens is left under it.
  On your own database: keyturn init, describe your fields, keyturn plan.`
}
