import type { KeyState, Rotation, RotationState } from '../domain.ts'

/** What each state of a key means for its values. */
export const keyStates: Record<KeyState, { readonly encrypts: boolean; readonly decrypts: boolean; readonly means: string }> = {
  pending: { encrypts: false, decrypts: true, means: 'Every reader is learning it. It encrypts nothing yet.' },
  active: { encrypts: true, decrypts: true, means: 'New values are encrypted under it.' },
  retiring: { encrypts: false, decrypts: true, means: 'Values that are not rewritten yet stay readable.' },
  retired: { encrypts: false, decrypts: true, means: 'The database refuses it. Restored backups stay readable.' },
  destroyed: { encrypts: false, decrypts: false, means: 'Its material is erased. Nothing opens what was under it.' },
}

/** How a rotation stands, and what fill stands for it. */
export const rotationStates: Record<RotationState, { readonly says: string; readonly tone: string }> = {
  planned: { says: 'Planned', tone: 'pending' },
  running: { says: 'Running', tone: 'active' },
  paused: { says: 'Paused', tone: 'retiring' },
  waiting: { says: 'Waiting', tone: 'retiring' },
  verifying: { says: 'Verifying', tone: 'active' },
  completed: { says: 'Completed', tone: 'active' },
  cancelled: { says: 'Cancelled', tone: 'destroyed' },
  failed: { says: 'Failed', tone: 'unreadable' },
}

const final: readonly RotationState[] = ['completed', 'cancelled', 'failed']

/** Whether it will not change any more. */
export const isFinal = ({ state }: Pick<Rotation, 'state'>): boolean => final.includes(state)

const certifyingMs = 60_000

/** Whether its certificate may still be on its way: it is made right after the end, and there is none without a signing key. */
export const isCertifying = ({ state, hasCertificate, endedAt }: Pick<Rotation, 'state' | 'hasCertificate' | 'endedAt'>): boolean =>
  state === 'completed' && !hasCertificate && endedAt !== null && Date.now() - endedAt.getTime() < certifyingMs

/** What a rotation has come to, in one sentence. */
export function standing(rotation: Rotation): string {
  const { state, phase, live, setAside, requested, note } = rotation
  if (requested !== null && !isFinal(rotation)) return `Asked to ${requested}: the batch is finished first.`
  if (!isFinal(rotation) && !live && state !== 'paused' && state !== 'waiting')
    return 'No process works on it now. Another takes over when its lease ends.'
  if (state === 'completed')
    return setAside === 0 ? 'Every value is current and opens.' : 'Done, but values remain that do not open. They are as they were.'
  if (state === 'failed') return note ?? 'It was rolled back. Every value is as it was.'
  if (state === 'cancelled') return 'It was ended. Every value stays readable.'
  if (state === 'paused') return note ?? 'It goes on where it stopped when it is resumed.'
  if (state === 'waiting') return note ?? 'Something still writes the old key.'
  if (phase === 'waiting-for-readers') return 'Every reader learns the new key before a value needs it.'
  if (phase === 'verifying' || state === 'verifying') return 'Every value is opened once more and counted.'
  return 'Values are rewritten while the application works.'
}

/** The steps of a rotation, in their order; the index of the one it is at. */
export const rotationSteps = ['Readers learn the key', 'Values are rewritten', 'Every value is opened', 'Certificate'] as const
export function stepOf({ state, phase, hasCertificate }: Rotation): number {
  if (state === 'completed') return hasCertificate ? 4 : 3
  if (state === 'verifying' || phase === 'verifying') return 2
  return phase === 'waiting-for-readers' || state === 'planned' ? 0 : 1
}

/** How sure it is what an audit event says of its chain. */
export const faults: { readonly [reason: string]: string } = {
  sequence: 'it is missing, or another one stands in its place',
  previous: 'it does not follow the one before',
  hash: 'it is not what was written',
  head: 'the head that was expected is not in the chain',
}
