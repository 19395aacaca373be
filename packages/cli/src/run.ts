import {
  fail,
  type Plan,
  type PlanOptions,
  type ProgressReport,
  type RotateOptions,
  type RotationMode,
  type RotationResult,
  type RunOptions,
  type Throttle,
  type VerifyOptions,
} from '@keyturn/core'
import { presetMode } from '@keyturn/presets'
import { type Call, print, say } from './call.ts'
import { nextCommands } from './command-line.ts'
import { driverOf } from './database.ts'
import { type Exit, exit, exitOfRotation, INTERRUPTED_TWICE } from './exit.ts'
import { keyringOf } from './flags/field-config.ts'
import type { Options } from './options.ts'
import { type ProgressScreen, progressScreen } from './screens/progress.ts'
import { rotationScreen } from './screens/rotation.ts'
import type { Session } from './session.ts'

/**
 * What the flags, the preset and a plan that was made before say of a plan.
 *
 * @throws `ERR_USAGE` for what does not go together
 */
export function planOptions({ options }: Call, { selection }: Pick<Session, 'selection'>, planned: Plan | null = null): PlanOptions {
  const { appStopped, setAside } = options
  const mode = modeOf(options.mode ?? planned?.mode, selection)
  const only = appStopped ? '--app-stopped' : setAside ? '--set-aside' : null
  if (only !== null && mode !== 'transaction') throw fail('ERR_USAGE', `${only} goes with --mode transaction`)
  return {
    ...(planned === null ? {} : { plan: planned }),
    ...(mode === undefined ? {} : { mode }),
    ...(selection.fields === null ? {} : { fields: selection.fields }),
    ...(appStopped ? { appStopped } : {}),
    // Values that come to a keyring find its active key there: no new one is made for them.
    ...(options.to === undefined ? {} : { newVersion: false }),
  }
}

function modeOf(mode: string | undefined, { preset }: Session['selection']): RotationMode | undefined {
  if (mode !== undefined && mode !== 'online' && mode !== 'transaction') throw fail('ERR_USAGE', '--mode must be online or transaction')
  return preset === undefined ? mode : presetMode(preset.preset, preset.use, mode)
}

/** What the flags say of the pace. @throws `ERR_USAGE` */
export function throttle({ rate, max }: Options): Throttle | undefined {
  if (rate !== undefined && max) throw fail('ERR_USAGE', '--rate limits and --max does not. Give one of them')
  if (max) return { share: 1 }
  if (rate === undefined) return undefined
  const rowsPerSecond = Number(rate)
  if (!Number.isSafeInteger(rowsPerSecond) || rowsPerSecond < 1) throw fail('ERR_USAGE', '--rate must be a whole number of rows a second')
  return { rowsPerSecond }
}

/** What is asked of a rotation beside its plan. The operator has seen the plan, or said --yes; of an earlier one that counts. */
export function decisionOptions({ options }: Call): Pick<RotateOptions, 'accept' | 'setAside'> {
  return { accept: options.plan === undefined, ...(options.setAside ? { setAside: true } : {}) }
}

/**
 * Refuses to change values that nobody agreed to.
 *
 * @throws `ERR_USAGE` where --yes is not given and nobody can be asked
 */
export function assertAgreeable({ options, io }: Call, verb: string): void {
  if (options.yes || (io.isTTY && !options.json)) return
  throw fail('ERR_USAGE', `"keyturn ${verb}" changes values and nobody can be asked here. Look at "keyturn plan", then give --yes`)
}

/** Asks at the terminal. @returns whether the answer was yes */
export async function agreed({ lines }: Session, question: string): Promise<boolean> {
  const answer = await lines.next(`${question} [y/N] `, { hidden: false })
  return /^y(es)?$/i.test(answer?.trim() ?? '')
}

/** Has a name typed at the terminal, for what cannot be undone. @returns whether it was that one */
export async function typed({ lines }: Session, name: string): Promise<boolean> {
  const answer = await lines.next(`Type ${name} to go on: `, { hidden: false })
  return answer?.trim() === name
}

/** Looks at values with the progress shown, those that the command line chose. */
export async function looking<T>(call: Call, { selection }: Session, work: (options: VerifyOptions) => Promise<T>): Promise<T> {
  const screen = progressScreen(call.io)
  const options = {
    ...(selection.keyring === null ? {} : { keyring: keyringOf(selection) }),
    ...(selection.fields === null ? {} : { fields: selection.fields }),
  }
  try {
    return await work({ ...options, onProgress: (report) => progressed(call, screen, report) })
  } finally {
    screen.end()
  }
}

function progressed(call: Call, screen: ProgressScreen, report: ProgressReport): void {
  call.attempted = true
  screen.report(report)
}

/**
 * Does what may run long, with its progress shown. The first Ctrl-C (or SIGTERM) lets it finish its batch and pause, a second ends the
 * process at once; both leave every value readable.
 *
 * @returns the result, and whether it was asked to stop
 */
export async function interruptible<T>(call: Call, work: (options: RunOptions) => Promise<T>): Promise<{ result: T; stopped: boolean }> {
  const { io, options } = call
  const limit = throttle(options)
  const screen = progressScreen(io)
  const stop = new AbortController()
  const restore = io.onInterrupt(() => {
    if (stop.signal.aborted) return io.exit(INTERRUPTED_TWICE)
    stop.abort()
    say(call, '\nkeyturn: finishing the batch, then pausing. Once more ends at once')
  })
  try {
    const result = await work({
      signal: stop.signal,
      ...(limit === undefined ? {} : { throttle: limit }),
      onProgress: (report) => progressed(call, screen, report),
    })
    return { result, stopped: stop.signal.aborted }
  } finally {
    screen.end()
    restore()
  }
}

/** Runs a rotation. @returns the exit code of its result, which is printed */
export async function watch(call: Call, session: Session, work: (options: RunOptions) => Promise<RotationResult>): Promise<Exit> {
  const { result, stopped } = await interruptible(call, work)
  call.attempted = true
  // What was done is done: that it cannot be looked at a second time must not hide the result.
  const holds = await driverOf(session.database, session.selection.config.schema)
    .holds()
    .catch(() => [])
  print(call, result, rotationScreen(result, holds, nextCommands(call, result.id)))
  return stopped && result.state !== 'completed' ? exit.paused : exitOfRotation(result)
}
