import type { Due, Keyring, Rotation } from '../domain.ts'
import type { Secret } from '../secret.ts'
import { counted } from './numbers.ts'
import { isFinal } from './states.ts'

/** How bad it is to leave something: in words and in the order of the list. */
export const risks = ['Values are at risk', 'Work stands still', 'Overdue', 'Worth doing', 'Soon'] as const
/** Something that needs a person. */
export interface Attention {
  readonly id: string
  readonly risk: (typeof risks)[number]
  readonly what: string
  readonly why: string
  readonly to: { readonly page: 'keyring' | 'rotation' | 'secret'; readonly name: string }
  readonly step: string
}

/** What needs a person now, the worst first. Completed rotations count only while they are the newest of their keyring. */
export function attention(keyrings: readonly Keyring[], rotations: readonly Rotation[], secrets: readonly Secret[]): readonly Attention[] {
  const found = [
    ...keyrings.flatMap(ofKeyring),
    ...rotations.flatMap((rotation) => ofRotation(rotation, rotations)),
    ...secrets.flatMap(ofSecret),
  ]
  return found.sort((a, b) => risks.indexOf(a.risk) - risks.indexOf(b.risk))
}

const ofDue: Record<Due['what'], Pick<Attention, 'risk' | 'step'> & { what: (name: string) => string }> = {
  rotate: { risk: 'Overdue', step: 'Rotate it', what: (name) => `Rotate ${name}` },
  retire: { risk: 'Worth doing', step: 'Look at its keys', what: (name) => `Retire a key of ${name}` },
  destroy: { risk: 'Worth doing', step: 'Look at its keys', what: (name) => `Destroy a key of ${name}` },
  soon: { risk: 'Soon', step: 'See its policy', what: (name) => `${name} will be due` },
}

function ofKeyring(keyring: Keyring): Attention[] {
  const { name, versions, counts, findings, due } = keyring
  const to = { page: 'keyring', name } as const
  const leaked = versions.filter(({ compromised, state }) => compromised && state !== 'destroyed')
  const unreadable = counts?.unreadable ?? 0
  return [
    ...leaked.map(
      ({ number, id }): Attention => ({
        ...{ id: `leaked ${name} ${id}`, risk: 'Values are at risk', to, step: 'Rotate it' },
        what: `Version ${number} of ${name} is marked as compromised`,
        why: 'Whoever has it can read every value under it. Rotate, then change the credentials that those values are.',
      }),
    ),
    ...findings.map(
      (why, n): Attention => ({
        ...{ id: `finding ${name} ${n}`, risk: 'Values are at risk', to, why, step: 'Look at its keys' },
        what: `A key of ${name} protects nothing`,
      }),
    ),
    ...(unreadable === 0
      ? []
      : [
          {
            ...({ id: `unreadable ${name}`, risk: 'Values are at risk', to, step: 'See which' } as const),
            what: `${counted(unreadable, 'value')} of ${name} ${unreadable === 1 ? 'fits' : 'fit'} no key`,
            why: 'They may be damaged, or stand under a key that is not configured. Do not destroy any key until you know.',
          },
        ]),
    ...due
      .filter(({ why }) => !why.includes('compromised') || leaked.length === 0)
      .map(({ what, why }, n): Attention => ({ ...{ id: `due ${name} ${n}`, to, why }, ...ofDue[what], what: ofDue[what].what(name) })),
  ]
}

function ofRotation(rotation: Rotation, all: readonly Rotation[]): Attention[] {
  const { id, keyring, state, live, note, setAside } = rotation
  const newest = all.find((each) => each.keyring === keyring)?.id === id
  const to = { page: 'rotation', name: id } as const
  const still = (what: string, why: string): Attention[] => [
    { id: `still ${id}`, risk: 'Work stands still', what, why, to, step: 'Look at the rotation' },
  ]
  if (state === 'waiting') return still(`The rotation of ${keyring} waits`, note ?? 'Something still writes the old key.')
  if (state === 'paused') return still(`The rotation of ${keyring} is paused`, note ?? 'It goes on where it stopped when it is resumed.')
  if (state === 'failed' && newest)
    return still(`The rotation of ${keyring} failed`, note ?? 'It was rolled back: every value is as it was.')
  if (!isFinal(rotation) && !live)
    return still(`Nobody works on the rotation of ${keyring}`, 'Another process takes over when its lease ends.')
  if (state !== 'completed' || setAside === 0 || !newest) return []
  return [
    {
      ...{ id: `aside ${id}`, risk: 'Values are at risk', to, step: 'See which' },
      what: `${counted(setAside, 'value')} of ${keyring} ${setAside === 1 ? 'is' : 'are'} set aside`,
      why: 'They do not open. They are as they were; the key they name cannot be retired until they are mended or accepted.',
    },
  ]
}

function ofSecret({ name, run, overdue, automatic, troubles }: Secret): Attention[] {
  const to = { page: 'secret', name } as const
  const still = (what: string, note: string | null, step: string): Attention[] => [
    { id: `secret ${name}`, risk: 'Work stands still', what, why: note ?? 'Its run says why.', to, step },
  ]
  if (run?.state === 'paused') return still(`The rotation of ${name} is paused`, run.note, 'Look at the run')
  if (run !== null && (run.step === 'task' || troubles.includes('task')))
    return still(`${name} waits for a person`, run.note, 'See what to do')
  if (run !== null || !overdue) return []
  const why = automatic ? 'A server rotates it in its window.' : 'Its interval is over, and nobody but a person begins it.'
  return [{ id: `secret ${name}`, risk: 'Overdue', what: `Rotate the secret ${name}`, why, to, step: 'Rotate it' }]
}
