import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { isVariableName } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { commandLine, environment, runProgram } from '../outside/program.ts'
import type { Call, World } from '../secret/call.ts'
import type { Gate } from '../secret/gate.ts'
import { isZoneless, timeOf } from './log/line-time.ts'

/** How Postgres, Redis, cloud providers, identity providers and most applications say that a login was refused. */
const authenticationErrors =
  'password authentication failed|no pg_hba\\.conf entry|SASL authentication failed|WRONGPASS|NOAUTH|\\b28P01\\b|' +
  'invalid_client|invalid_grant|AADSTS7000\\d+|InvalidClientTokenId|SignatureDoesNotMatch|AuthFailure|' +
  '(?:invalid|incorrect|expired)[ _-](?:x-)?api[ _-]?key|authentication_error|\\b401 Unauthorized\\b|invalid signature|JsonWebTokenError'

const isPattern = (text: string): boolean => {
  try {
    new RegExp(text)
    return true
  } catch {
    return false
  }
}

export const options = z
  .strictObject({
    /** A file that the application writes its log to. What it was rotated into, with `.1`, is read, too. */
    file: z.string().min(1).optional(),
    /** Or a program that prints the log. `{since}` in an argument is a time such as 2026-11-21T22:00:00.000Z, `{seconds}` how long ago that is. */
    command: commandLine.optional(),
    /** The folder in which it runs; that of this process unless given. */
    folder: z.string().min(1).optional(),
    /** Names of the variables that it needs beside the usual ones. */
    env: z.array(z.string().refine(isVariableName, { error: 'expected the name of a variable' })).optional(),
    /** A regular expression, in any case, of lines that count; those of refused logins unless given. */
    pattern: z.string().min(1).max(2_000).refine(isPattern, { error: 'expected a regular expression' }).default(authenticationErrors),
    /** How long the log is watched, and how long before is compared with, in milliseconds; five minutes unless given. */
    windowMs: z.int().min(1_000).max(86_400_000).default(300_000),
    /** How many times the number of before is still good. */
    tolerance: z.number().min(0).max(1_000).default(2),
    /** How many more are good. */
    allow: z.int().min(0).max(1_000_000).default(0),
  })
  .refine(({ file, command }) => (file === undefined) !== (command === undefined), {
    error: 'expected a file, or a command that prints the log',
  })

/** Of a file that large the end is enough for some minutes. */
const MOST_BYTES = 256 * 1024 * 1024

/**
 * The log has no more refused logins than before: the lines that match, in the minutes after the deployment against those before the run. More
 * than are allowed fail at once; fewer are good when the time is over.
 *
 * Lines count by the time that stands in them, a line without one by that of the line before it. No line of the log is kept or printed.
 */
export default function logErrors(given: z.infer<typeof options>, world: World): Gate {
  const { file, command, folder, env: named, windowMs, tolerance, allow } = given
  const pattern = new RegExp(given.pattern, 'i')
  const where = file === undefined ? `the program "${command?.[0]}"` : `the log ${file}`

  /** Lines that match and were written from `since` on; and whether there was any line, and any with a time. */
  const count = async (call: Call, since: number) => {
    const seen: Seen = { matches: 0, lines: 0, timed: 0, zoneless: null }
    let time: number | null = null
    const onLine = (line: string) => {
      const own = timeOf(line)
      if (own !== null) seen.zoneless = isZoneless(line) ? own : null
      time = own ?? time
      seen.lines++
      if (time !== null) seen.timed++
      // A program was asked for these lines; in a file, what has no time before it may be of any.
      const counts = time === null ? file === undefined : time >= since
      if (counts && pattern.test(line)) seen.matches++
    }
    if (file !== undefined) await readLog(file, since, { onLine, where, signal: call.signal })
    else {
      const fill = (text: string) =>
        text.replaceAll('{since}', new Date(since).toISOString()).replaceAll('{seconds}', String(Math.ceil((world.now() - since) / 1000)))
      const env = await environment(world, named)
      const { code } = await runProgram({ where, command: (command ?? []).map(fill), folder, env, onLine, signal: call.signal })
      if (code !== 0) throw outside('uncertain', where, `it ended with code ${code}`)
    }
    return seen
  }
  return {
    at: 'deployed',
    settleMs: windowMs * 2,
    check: (call) =>
      findings(async () => {
        const { lines, timed, zoneless } = await count(call, world.now() - windowMs)
        if (file === undefined || lines === 0) return []
        if (zoneless !== null && isOfAnotherZone(zoneless, (await stat(file)).mtimeMs))
          return [
            { severity: 'fault', sentence: `${where}: its times say no zone, and are not of that of this machine. Log them with a zone` },
          ]
        if (timed > 0) return []
        return [
          {
            severity: 'fault',
            sentence: `${where}: its lines have no time that is understood, so that before and after cannot be told apart`,
          },
        ]
      }),
    before: async (call) => ({ matches: (await count(call, world.now() - windowMs)).matches, windowMs }),
    look: async (call, { before, since }) => {
      const now = world.now()
      const { matches } = await count(call, since)
      const most = Math.floor(Number(before?.matches ?? 0) * tolerance) + allow
      const seconds = Math.round((now - since) / 1000)
      const sentence = `${where} has ${matches} such lines in ${seconds} s; ${most} are allowed in ${Math.round(windowMs / 1000)} s`
      if (matches > most) return { works: false, later: false, sentence }
      return now - since < windowMs ? { works: false, later: true, sentence } : { works: true, sentence }
    },
  }
}

interface Seen {
  matches: number
  lines: number
  timed: number
  /** The time of the newest line that has one, if it says no zone. */
  zoneless: number | null
}

const HALF_HOUR_MS = 1_800_000
const NEAR_MS = 60_000

/** Whether the newest line is off from when the file was written by as much as zones differ: half hours, up to fourteen. */
function isOfAnotherZone(newest: number, writtenAt: number): boolean {
  const off = Math.abs(writtenAt - newest)
  const rest = off % HALF_HOUR_MS
  return off > HALF_HOUR_MS - NEAR_MS && off <= 28 * HALF_HOUR_MS + NEAR_MS && Math.min(rest, HALF_HOUR_MS - rest) <= NEAR_MS
}

async function readLog(
  file: string,
  since: number,
  { onLine, where, signal }: { onLine: (line: string) => void; where: string; signal: AbortSignal },
) {
  for (const [path, needed] of [
    [`${file}.1`, false],
    [file, true],
  ] as const) {
    const found = await stat(path).catch(() => null)
    if (found === null && needed) throw outside('refused', where, 'it cannot be read. Is it there?')
    if (found === null || found.mtimeMs < since) continue
    const input = createReadStream(path, { start: Math.max(0, found.size - MOST_BYTES), signal })
    const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
    // Whether readline tells of its input's error, or goes on waiting, is another thing in each Node.
    const broken = new Promise<never>((_, reject) => input.on('error', reject))
    const read = async () => {
      for await (const line of lines) onLine(line)
    }
    await Promise.race([read(), broken]).catch(() => {
      if (signal.aborted) throw outside('uncertain', where, 'it was not read to its end in time')
      throw outside('refused', where, 'it cannot be read to its end')
    })
  }
}
