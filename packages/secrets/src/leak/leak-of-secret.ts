import { fail } from '@keyturn/core'
import type { Run } from '../run/run.ts'
import type { SecretStatus } from '../secret/inventory.ts'
import type { Secrets } from '../secrets.ts'
import type { Leak, Remedy } from './leak.ts'

/**
 * What a leaked secret opens, and whether it still does. Changes nothing.
 *
 * The credential in use counts as exposed until a rotation that was begun with `leaked` has ended it, or until it is known that it was made
 * after the leak.
 *
 * @param options.since - when it became known to others, in milliseconds since 1970, where that is known
 * @throws `ERR_UNKNOWN_NAME`
 */
export async function leakOfSecret(secrets: Secrets, name: string, { since }: { readonly since?: number } = {}): Promise<Leak> {
  const status = await secrets.status(name)
  const runs = await secrets.history(name)
  const exposed = exposureOf(status, runs, since)
  const places = [...status.stores.map((store) => `store ${store}`), ...status.targets.map((target) => `target ${target}`)]
  const sentence = `${status.rotator}; kept in ${places.length === 0 ? 'no store' : places.join(', ')}${status.since === null ? '' : `; in use since ${status.since}`}`
  return {
    subject: { kind: 'secret', secret: name },
    opens: [{ what: 'secret', name, risk: status.risk, owner: status.owner, values: null, sentence }],
    mends: exposed.length === 0 ? [] : [...remediesOf(status, runs), ...ofRoot(status)],
    exposed,
    unknown: [
      'What was done with it: the logs of its issuer may say.',
      ...ofRoot(status).map(({ why }) => `Whether there is a copy of the database: ${why}.`),
      ...(exposed.length === 0 && since === undefined
        ? [`Whether it became known again after ${status.since}. If so, rotate it again.`]
        : []),
    ],
  }
}

/** A new root key mends nothing by itself: whoever had the old one and the database has the data keys. */
const ofRoot = ({ rotator }: SecretStatus): Remedy[] =>
  rotator === 'root-key'
    ? [
        {
          command: 'keyturn rotate KEYRING',
          why: 'who had the root key knows its data keys, so that each keyring under it is rotated after it',
          act: null,
        },
      ]
    : []

/** What of a secret is of use to others today, a sentence each. */
export function exposureOf(status: SecretStatus, runs: readonly Run[], since?: number): string[] {
  const { name, run } = status
  const sentences: string[] = []
  // Stores that were brought in line made nothing new.
  const [last] = runs.filter(({ state, steps }) => state === 'completed' && steps.includes('create'))
  const inUse = status.since === null ? null : Date.parse(status.since)
  const answered = since === undefined ? last?.facts.leaked === true : inUse !== null && inUse > since
  const unfinished = runs.find(({ id }) => id === run?.id)
  const promoted = unfinished !== undefined && isPromoted(unfinished)
  if (!answered && !(promoted && unfinished.facts.leaked === true))
    sentences.push(
      status.since === null
        ? `${name}: the credential in use was never rotated here`
        : `${name}: the credential in use since ${status.since} may be the one that others know`,
    )
  if (unfinished !== undefined) sentences.push(unfinishedSentence(unfinished))
  if (last !== undefined && last.oldValue === null && status.revokes)
    sentences.push(
      `${name}: the credential from before ${new Date(last.createdAt).toISOString()} was not known to Keyturn, and was not ended`,
    )
  if (run === null && status.troubles.includes('revocation')) sentences.push(`${name}: a credential is left at the issuer that did not end`)
  return sentences
}

/** Whether the new credential is in use. */
export function isPromoted({ direction, steps, position }: Run): boolean {
  return direction === 'forward' && position > steps.indexOf('write:promote')
}

function unfinishedSentence(run: Run): string {
  const { id, secret, state, steps, position, note } = run
  const at = `${state} at ${steps[position] ?? 'its end'}${note === null ? '' : `: ${note}`}`
  return isPromoted(run) && run.oldValue !== null
    ? `${secret}: the old credential is not confirmed to be ended; run ${id} is ${at}`
    : `${secret}: run ${id} is not over, ${at}`
}

/** What ends the exposure of a secret, in this order. */
export function remediesOf({ name, run }: SecretStatus, runs: readonly Run[]): Remedy[] {
  const rotate = { command: `keyturn secrets rotate ${name} --leaked`, act: { kind: 'rotate-secret', secret: name } } as const
  if (run === null) return [{ ...rotate, why: 'a new credential, and the old one ended without a grace' }]
  const unfinished = runs.find(({ id }) => id === run.id)
  const leaked = unfinished?.facts.leaked === true && unfinished.direction === 'forward'
  const next = { ...remedyOfRun(name, run, unfinished), act: { kind: 'run', secret: name, run: run.id } } as const
  // A run that answers the leak needs no other after it.
  return leaked
    ? [next]
    : [next, { ...rotate, act: null, why: 'once it is over, if the credential that is in use then is the one that leaked' }]
}

/** What is to be done with a run that is not over. */
function remedyOfRun(name: string, run: NonNullable<SecretStatus['run']>, unfinished: Run | undefined): Omit<Remedy, 'act'> {
  const { id, state, step, note } = run
  if (state === 'paused')
    return { command: `keyturn secrets resume ${id}`, why: `goes on, once that is mended which its note names${noted(note)}` }
  if (step === 'task') return { command: `keyturn secrets provide ${id}`, why: `it waits for a person${noted(note)}` }
  if (unfinished !== undefined && isPromoted(unfinished) && unfinished.facts.hurried !== true)
    return { command: `keyturn secrets revoke ${id} --yes`, why: 'ends the grace of the run that is not over' }
  return { command: null, why: `the rotation of ${name} goes on by itself: see that it ends` }
}

const noted = (note: string | null) => (note === null ? '' : `: ${note}`)

/** @param text - an ISO time @throws `ERR_USAGE` */
export function leakTime(text: string): number {
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms)) throw fail('ERR_USAGE', 'the time of a leak is written as 2026-11-21 or 2026-11-21T10:00:00Z')
  return ms
}
