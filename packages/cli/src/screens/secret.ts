import { type Drift, type SecretPlan, type SecretStatus, stepWords } from '@keyturn/secrets'
import { oneLine } from '../printable.ts'
import { count, section, table } from './words.ts'

const day = (iso: string | null) => iso?.slice(0, 10) ?? ''

/** The inventory: overdue ones first. */
export function inventoryScreen(
  secrets: readonly SecretStatus[],
  forgotten: readonly { readonly id: string; readonly secret: string }[],
): string {
  const rows = secrets.map(({ name, owner, risk, rotator, stores, every, automatic, since, dueAt, overdue, run }) => [
    ...[name, owner ?? '', risk, rotator, stores.join(', '), every ?? '', automatic ? 'yes' : 'no', since === null ? 'never' : day(since)],
    overdue ? 'overdue' : day(dueAt),
    run === null ? '' : `${run.state}${run.step === null ? '' : ` at ${run.step}`}`,
  ])
  const overdue = secrets.filter((secret) => secret.overdue).length
  const troubled = secrets.filter(({ troubles }) => troubles.length > 0)
  return [
    `${count(secrets.length, 'secret')}, ${overdue} overdue.`,
    '',
    table(['secret', 'owner', 'risk', 'rotator', 'kept in', 'every', 'automatic', 'last', 'next', 'run'], rows),
    ...section(
      'Trouble',
      troubled.map(({ name, troubles, run }) => `${name}: ${troubles.join(', ')}${run?.note == null ? '' : `. ${run.note}`}`),
    ),
    ...section(
      'Not in the configuration any more, and not over: put the secret back until its run has ended',
      forgotten.map(({ id, secret }) => `${secret}: run ${id}`),
    ),
  ].join('\n')
}

/** What a rotation of a secret would call. */
export function secretPlanScreen({ secret, rotator, hasOld, steps, gap, limits, findings }: SecretPlan): string {
  const rows = steps.map(({ step, calls }, index) => [String(index + 1), step, stepWords(step), calls.join('; ')])
  const of = (severity: 'fault' | 'warning') =>
    findings.filter((finding) => finding.severity === severity).map(({ place, sentence }) => `${place}: ${sentence}`)
  const old = hasOld ? 'the credential in use ends when nobody needs it any more' : 'the credential in use is not known'
  return [
    oneLine(`Plan: secret "${secret}" by ${rotator}; ${old}${gap ? '; log-ins are refused for a while' : ''}`),
    '',
    table(['', 'step', 'what', 'calls'], rows),
    ...section('Faults: it cannot be rotated', of('fault')),
    ...section('To know', of('warning')),
    ...section(
      'At most, together with all other secrets',
      limits.map(
        ({ provider, atOnce, perMinute, parts }) =>
          `${provider}: ${count(atOnce, 'call')} at once, ${perMinute} a minute (${parts.join(', ')})`,
      ),
    ),
  ].join('\n')
}

/** Stores beside the credentials in use, by digests. */
export function driftScreen(
  drifts: readonly Drift[],
  { applied, left }: { readonly applied: boolean; readonly left: readonly string[] },
): string {
  const newer = drifts.filter(({ state }) => state === 'new')
  const empty = drifts.filter(({ state }) => state === 'empty')
  const differ = drifts.filter(({ state }) => state !== 'same').length - newer.length - empty.length
  const rows = drifts.map(({ secret, store, name, state, found, expected }) => [secret, store, name, state, found ?? '', expected ?? ''])
  const summary =
    differ === 0
      ? 'Stores hold what is in use.'
      : `${count(differ, 'name')} in stores ${differ === 1 ? 'differs' : 'differ'} from what is in use${newer.length === 0 ? '' : ', or will be'}.`
  const nothing = 'Nothing was changed. --apply writes what is in use, and has the targets take it.'
  return [
    summary,
    '',
    ...(rows.length === 0 ? [] : [table(['secret', 'store', 'name', 'state', 'found', 'expected'], rows)]),
    ...section(
      'New in the source of truth: --apply tries it, takes it over and deploys it',
      applied ? [] : [...new Set(newer.map(({ secret }) => secret))],
    ),
    ...section(
      'Empty in the source of truth: nothing is taken over or removed. Write the credential there',
      empty.map(({ secret, store, name }) => `${secret}: ${store}, ${name}`),
    ),
    ...section(
      'Left out: never rotated here, being rotated, or in no store',
      left.map((name) => name),
    ),
    ...(applied || differ + newer.length === 0 ? [] : ['', nothing]),
  ].join('\n')
}
