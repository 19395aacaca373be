import { type FailedValue, type RotationResult, type Status, summary } from '@keyturn/core'
import type { NextCommands } from '../command-line.ts'
import { count, number, section } from './words.ts'

const SHOWN = 20

/** What came of a rotation, and what to do next. */
export function rotationScreen(result: RotationResult, holds: Status['holds'], commands: NextCommands): string {
  const { id, state, rotated, skipped, failedCount, conflicts } = result
  const again = conflicts === 0 ? '' : `, ${number(conflicts)} written by others meanwhile and done again`
  return [
    `${summary(result)}.`,
    `Rotation ${id}: ${state}; ${count(rotated, 'value')} rotated.`,
    `${number(skipped)} current already, ${number(failedCount)} set aside${again}.`,
    ...(state === 'completed' && rotated === 0 && skipped > 0 && failedCount === 0 ? [unchanged] : []),
    ...failedList(result.failed, failedCount),
    ...section('What to do next', next(result, holds, commands)),
  ].join('\n')
}

const unchanged = 'Nothing was changed. If that is a surprise: were the old key and the new one exchanged?'

function next({ id, state, failedCount, mode }: RotationResult, holds: Status['holds'], commands: NextCommands): string[] {
  const ending = ['To end it instead; every value stays readable:', commands.cancel]
  if (state === 'paused') return ['Its batch was finished. To go on:', commands.resume, ...ending]
  if (state === 'waiting')
    return ['Something still writes the old key; this says what:', commands.status, 'Then, to go on:', commands.resume, ...ending]
  if (state === 'failed' && mode === 'transaction' && failedCount > 0) {
    return ['Everything was rolled back, because of these values. --set-aside leaves them as they are and commits the rest.']
  }
  if (state !== 'completed') return ['Every value is as readable as before. This says why it ended:', commands.status]
  const held = holds.filter(({ rotationId }) => rotationId === id).flatMap(({ tables }) => tables)
  const release = [
    '1. Put the new key into the environment of the application, and restart all of it.',
    `   Until then ${held.join(', ')} cannot be written, and reads fail.`,
    `2. ${commands.release}`,
    `3. ${commands.verify}`,
  ]
  const aside = ['Look at the values set aside; they are as they were.']
  return [...(held.length > 0 ? release : [commands.verify]), ...(failedCount > 0 ? aside : [])]
}

/** The first values of a list that stay as they are, with their rows and reasons. */
export function failedList(failed: readonly FailedValue[], total: number): string[] {
  if (failed.length === 0) return []
  const lines = failed.slice(0, SHOWN).map(({ field, row, path, reason }) => {
    const key = Object.entries(row).map(([column, value]) => `${column}=${value}`)
    return `${field}  ${key.join(' ')}${path === undefined ? '' : `  ${path}`}  ${reason}`
  })
  const more = total > lines.length ? [`… and ${number(total - lines.length)} more; --json lists up to 1,000`] : []
  return section('Values that do not open', [...lines, ...more])
}
