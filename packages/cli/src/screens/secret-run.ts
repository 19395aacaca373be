import type { Run, StepRecord } from '@keyturn/secrets'
import type { Call } from '../call.ts'
import { connectedCommand } from '../command-line.ts'
import { letsTimePass } from '../exit.ts'
import { oneLine, printable } from '../printable.ts'
import { table } from './words.ts'

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())

/** A run as programs read it. Nothing in it is secret. */
export function runData(run: Run, steps?: readonly StepRecord[]) {
  const { id, secret, rotator, state, direction, note, startedBy, createdAt, endedAt, wakeAt, facts } = run
  return {
    ...{ id, secret, rotator, state, direction, step: run.steps[run.position] ?? null, note, startedBy, leaked: facts.leaked ?? false },
    ...{ createdAt: iso(createdAt), endedAt: iso(endedAt), wakeAt: iso(wakeAt), task: facts.task ?? null, asks: facts.asks?.ids ?? [] },
    ...(steps === undefined ? {} : { steps: steps.map((step) => ({ ...step, begunAt: iso(step.begunAt), endedAt: iso(step.endedAt) })) }),
  }
}

/** What became of a run, and what to do next. */
export function secretRunScreen(
  call: Call,
  run: Run,
  { remains, revokes }: { readonly remains: boolean; readonly revokes: boolean },
): string {
  const { id, secret, note, facts } = run
  const line = (verb: string, ...more: string[]) => `  ${connectedCommand(call, `secrets ${verb}`, [id], more)}`
  const named = (sentence: string) => oneLine(`Secret "${secret}" ${sentence}`)
  const later = 'It goes on by "keyturn serve" where that runs, by "keyturn secrets attend" from cron, or by'
  if (run.state === 'completed' && run.steps.includes('write:sync')) return named(`has its stores and targets in line again (run ${id}).`)
  if (run.state === 'completed' && facts.taken === true) {
    const old = revokes && run.oldValue !== null ? ' Keyturn has not ended the one from before: end it at its issuer.' : ''
    return named(`has what stands in its source of truth in use (run ${id}).${old}`)
  }
  if (run.state === 'completed') {
    const old = revokes ? 'the old one is refused' : 'the old one has ended with that'
    const left = 'The credential from before was not known to Keyturn and was not ended: end it at its issuer.'
    return [named(`is rotated (run ${id}): the new credential is in use${remains ? '' : `, ${old}`}.`), ...(remains ? [left] : [])].join(
      '\n',
    )
  }
  if (run.state === 'rolled-back') return named(`is back at the credential from before (run ${id})${because(note)}.`)
  if (run.state === 'cancelled') return named(`was not rotated: run ${id} is cancelled.`)
  if (facts.task !== undefined && run.state !== 'paused') return taskScreen(run, facts.task, { named, line })
  if (letsTimePass(run))
    return [
      named(`has its new credential in use, and verified (run ${id}).`),
      oneLine(`${capital(note ?? 'the old one still works')}.`),
      `${later}\n${line('resume')}`,
      'The old one is ended at once by',
      line('revoke'),
      'and taken back by',
      line('rollback'),
    ].join('\n')
  const asks =
    facts.asks === undefined ? [] : [`It asks which of these are of this run: ${facts.asks.ids.join(', ')} (--remove ID, or --keep ID).`]
  if (run.state === 'paused')
    return [
      named(`has run ${id}, which is paused${because(note)}.`),
      ...asks.map(oneLine),
      'Then',
      line('resume'),
      'or back to the credential from before',
      line('rollback'),
    ].join('\n')
  return [
    named(`has run ${id}, which is not over: it is at ${run.steps[run.position] ?? 'its end'}${because(note)}.`),
    `${later}\n${line('resume')}`,
  ].join('\n')
}

const because = (note: string | null) => (note === null ? '' : `: ${note}`)
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

function taskScreen(
  { id, note }: Run,
  { title, instructions, url, paste }: NonNullable<Run['facts']['task']>,
  { named, line }: { readonly named: (sentence: string) => string; readonly line: (verb: string, ...more: string[]) => string },
): string {
  return [
    named(`waits for a person (run ${id}).`),
    ...(note === null || note.endsWith(title) ? [] : [oneLine(`${capital(note)}.`)]),
    '',
    oneLine(title),
    ...(url === undefined ? [] : [oneLine(url)]),
    '',
    printable(instructions),
    '',
    ...(paste.length === 0
      ? ['When it is done:', line('resume')]
      : [`Then give ${paste.map(({ label }) => label).join(', ')} on standard input of`, line('provide')]),
  ].join('\n')
}

/** Runs, the newest first. */
export const runsTable = (runs: readonly Run[]): string =>
  table(
    ['run', 'state', 'step', 'begun', 'ended', 'by', 'note'],
    runs.map((run) => [
      run.id,
      run.state,
      run.endedAt === null ? (run.steps[run.position] ?? '') : '',
      iso(run.createdAt) ?? '',
      iso(run.endedAt) ?? '',
      run.startedBy,
      run.note ?? '',
    ]),
  )

/** The steps of a run with what was seen. */
export const stepsTable = (steps: readonly StepRecord[]): string =>
  table(
    ['step', 'state', 'tries', 'ended', 'seen'],
    steps.map(({ step, state, tries, endedAt, evidence, problem }) => [
      step,
      state,
      tries,
      iso(endedAt) ?? '',
      [...Object.entries(evidence).map(([name, value]) => `${name}: ${value}`), ...(problem === null ? [] : [problem])].join('; '),
    ]),
  )
