import { setTimeout as sleep } from 'node:timers/promises'
import { DURATION, durationMs, fail, isKeyturnError } from '@keyturn/core'
import { type RunState, type Secrets, stepWords } from '@keyturn/secrets'
import { type Call, print, say } from '../call.ts'
import { type Exit, exitOfSecretRun, INTERRUPTED_TWICE } from '../exit.ts'
import { oneLine } from '../printable.ts'
import { runData, secretRunScreen } from '../screens/secret-run.ts'
import type { SecretsSession } from './opened-secrets.ts'

/** How often it looks for steps to tell of. */
const LOOK_EVERY_MS = 1000

/** The longest wait of a run that is slept through. @throws `ERR_USAGE` */
export function waitMs({ options: { wait } }: Pick<Call, 'options'>): number {
  if (wait === undefined) return 60_000
  if (!new RegExp(DURATION).test(wait)) throw fail('ERR_USAGE', '--wait must be a period such as 30s, 90m or 24h')
  return durationMs(wait)
}

/**
 * Works on a run until it is over, needs somebody, or waits for longer than `--wait`; tells of each step on standard error.
 *
 * @param wanted - how it should end
 * @returns the exit code of what became of it, which is printed
 */
export async function follow(
  call: Call,
  { secrets }: SecretsSession,
  { runId, wanted = ['completed'] }: { readonly runId: string; readonly wanted?: readonly RunState[] },
): Promise<Exit> {
  call.attempted = true
  const longest = waitMs(call)
  await stoppable(call, (signal) => told(call, { secrets, runId }, () => settled(secrets, { runId, longest, signal })))
  const { run, steps } = await secrets.run(runId)
  const { revokes } = await secrets.status(run.secret)
  const remains = run.state === 'completed' && run.oldValue === null && revokes && run.steps.includes('create')
  print(call, runData(run, steps), secretRunScreen(call, run, { remains, revokes }))
  return exitOfSecretRun(run, { wanted, remains })
}

/** Another process may work on it, a server above all: then it is waited for. */
async function settled(
  secrets: Secrets,
  { runId, longest, signal }: { readonly runId: string; readonly longest: number; readonly signal: AbortSignal },
): Promise<void> {
  const until = performance.now() + longest
  for (;;) {
    try {
      await secrets.settle(runId, { waitMs: longest, signal })
      return
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_RUN_LEASE')) throw error
      // That one goes on with it.
      if (signal.aborted || performance.now() > until) return
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** The first Ctrl-C (or SIGTERM) lets the step end, and what has begun is on record; a second ends the process at once. */
export async function stoppable<T>(call: Call, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController()
  const restore = call.io.onInterrupt(() => {
    if (stop.signal.aborted) return call.io.exit(INTERRUPTED_TWICE)
    stop.abort()
    say(call, '\nkeyturn: ending the step. The run can go on from it. Once more ends at once')
  })
  try {
    return await work(stop.signal)
  } finally {
    restore()
  }
}

/** Tells of the steps of a run while it is worked on. */
async function told(
  call: Call,
  { secrets, runId }: { readonly secrets: Secrets; readonly runId: string },
  work: () => Promise<void>,
): Promise<void> {
  const seen = new Map<number, string>()
  const tell = async (aloud = true) => {
    for (const { number, step, state, problem } of (await secrets.run(runId)).steps) {
      const line = `${state === 'begun' ? 'now' : state}  ${step}: ${stepWords(step)}${problem === null ? '' : `. ${problem}`}`
      if (aloud && seen.get(number) !== line) say(call, oneLine(line))
      seen.set(number, line)
    }
  }
  await tell(false)
  let last = Promise.resolve()
  const timer = setInterval(() => {
    last = last.then(() => tell()).catch(() => undefined)
  }, LOOK_EVERY_MS)
  try {
    await work()
  } finally {
    clearInterval(timer)
    await last.then(() => tell()).catch(() => undefined)
  }
}
