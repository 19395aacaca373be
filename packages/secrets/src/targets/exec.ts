import { isVariableName } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { commandLine, environment, runProgram } from '../outside/program.ts'
import type { Call, World } from '../secret/call.ts'
import type { Target } from '../secret/target.ts'

export const options = z.strictObject({
  /** The program and its arguments, without a shell: `["pm2", "reload", "shop", "--update-env"]`. */
  command: commandLine,
  /** A program that changes nothing and ends with 0 when the command could work: `["pm2", "ping"]`. */
  ready: commandLine.optional(),
  /** The folder it runs in; that of Keyturn unless given. */
  folder: z.string().min(1).optional(),
  /** Variables that are passed on, beside `PATH`, `HOME` and the like. */
  env: z.array(z.string().refine(isVariableName, { error: 'expected the name of a variable' })).optional(),
  /** The longest that it may take, in seconds; 600 unless given. */
  seconds: z.int().min(1).max(3_600).optional(),
})

// EX_TEMPFAIL of sysexits.h.
const TRY_AGAIN = 75

/**
 * A program on this machine that has the consumers take the new values: it restarts a development server, reloads pm2, brings up a composition.
 * It ends with 0 when all of them have; with 75 it is tried again later, with anything else the run is taken back. It must be safe to repeat.
 *
 * It gets `KEYTURN_SECRET` and `KEYTURN_ATTEMPT` and no value: it reads them where the consumers do. What it prints is not kept. When the time is
 * over it is ended with everything it started, unless that made a group of its own.
 */
export default function exec(given: z.infer<typeof options>, world: World): Target {
  const where = `the program "${given.command[0]}"`
  const run = async (call: Call, command: readonly string[]) => {
    const own = { KEYTURN_SECRET: call.secret, KEYTURN_ATTEMPT: call.attempt }
    const env = { ...(await environment(world, given.env)), ...own }
    return (await runProgram({ where, command, env, folder: given.folder, signal: call.signal })).code
  }
  return {
    callMs: (given.seconds ?? 600) * 1_000,
    check: (call) =>
      findings(async () => {
        await environment(world, given.env)
        if (given.ready === undefined) return []
        const code = await run(call, given.ready)
        return code === 0 ? [] : [{ severity: 'fault', sentence: `${where} is not ready: "${given.ready[0]}" ended with ${code}` }]
      }),
    async deploy(call) {
      const code = await run(call, given.command)
      if (code === TRY_AGAIN) throw outside('busy', where, `it ended with ${code}`)
      if (code !== 0) throw outside('refused', where, `it ended with ${code}`)
      return { exit: code }
    },
  }
}
