import type { KeyringStatus, SigningRetirement, SigningRotation, SigningStatus } from '@keyturn/core'
import { count, duration, number, section } from './words.ts'

type Standing = { readonly keyring: KeyringStatus; readonly signing: SigningStatus } | null

/** What rotating a signing keyring would do. */
export function signingPlanScreen(keyring: string, found: Standing, now = false): string {
  if (found === null) return `Plan: keyring "${keyring}" is not made yet; opening it makes its first key, which signs at once.`
  const { signing } = found
  const { algorithm, everywhereSeconds, graceSeconds } = signing
  const pending = found.keyring.versions.find(({ state }) => state === 'pending')
  const wait = `it is published and verifies for ${duration(everywhereSeconds ?? 0)}, until every verifier has it, or refuses everything`
  const steps = [
    pending === undefined ? `1. make a new key for ${algorithm}` : `1. take the key ${pending.id}, which is pending`,
    now ? '2. no wait (--now): verifiers that have not heard of it refuse its tokens until they have' : `2. ${wait}`,
    '3. it signs; the key before it goes on verifying what it has signed',
    `4. ${duration(graceSeconds)} later that has expired: keyturn retire ${keyring}`,
  ]
  return [`Plan: keyring "${keyring}", which signs tokens`, ...section('Steps', steps), ...tokensOf(signing)].join('\n')
}

/** What came of it. */
export function signingRotationScreen({ keyring, state, version, before, graceEndsAt }: SigningRotation): string {
  if (state === 'waiting')
    return [
      `Key ${version} of keyring "${keyring}" is pending: published, and not signing yet. No token is refused.`,
      ...section('What to do next', ['To go on:', `keyturn rotate ${keyring}`]),
    ].join('\n')
  const later = graceEndsAt === null ? '' : `, from ${graceEndsAt} on; until then its tokens may be valid`
  return [
    `Key ${version} of keyring "${keyring}" signs tokens.`,
    ...(before === null ? [] : [`Key ${before} verifies what it has signed.`]),
    ...section('What to do next', [`keyturn retire ${keyring}${later}`]),
  ].join('\n')
}

/** What ending keys came to. */
export function signingRetirementScreen(keyring: string, retired: readonly SigningRetirement[]): string {
  if (retired.length === 0) return `Keyring "${keyring}" has no key that is retiring. "keyturn rotate ${keyring}" makes one.`
  return retired
    .map(({ version, ended, refusedEverywhereAt }) => {
      const tokens = ended.map(({ kind, count: of }) => `${number(of)} of kind ${kind}`).join(', ')
      return [
        `Key ${version} of keyring "${keyring}" is retired: what it has signed is refused.`,
        ended.length === 0 ? 'No token is known that was still valid.' : `Tokens that were still valid, at most: ${tokens}.`,
        `Every verifier refuses it from ${refusedEverywhereAt} on.`,
      ].join('\n')
    })
    .join('\n\n')
}

/** Which keys end, and what with them. */
export function endsWords(signing: SigningStatus | null, versions: readonly string[] | undefined, early: boolean): string {
  const grace = (signing?.grace ?? []).filter(({ versionId }) => versions?.includes(versionId) ?? true)
  if (grace.length === 0) return 'no key is retiring.'
  const ids = grace.map(({ versionId }) => versionId)
  const valid = (signing?.valid ?? []).filter(({ versionId }) => ids.includes(versionId))
  const tokens = valid.map(({ kind, count: of }) => `${number(of)} of kind ${kind}`).join(', ')
  const what = early ? ` Tokens that have not expired end with it, at most: ${tokens === '' ? 'none is known' : tokens}.` : ''
  return `key ${ids.join(', ')}; what it has signed is refused from then on, everywhere within ${duration(signing?.everywhereSeconds ?? 0)}.${what}`
}

/** Of a signing keyring, beside its versions. */
export function signingLines(signing: SigningStatus): string[] {
  const { algorithm, lifetimeSeconds, graceSeconds, everywhereSeconds, grace } = signing
  const ends = everywhereSeconds === null ? 'with the last process that has it' : `everywhere within ${duration(everywhereSeconds)}`
  return [
    ...section('Signs tokens', [
      `${algorithm}; valid for ${duration(lifetimeSeconds)} at most, grace ${duration(graceSeconds)}`,
      `a key that is retired is refused ${ends}`,
      ...grace.map(({ versionId, endsAt }) => `what key ${versionId} has signed has expired at ${endsAt}`),
    ]),
    ...tokensOf(signing),
  ]
}

function tokensOf({ valid, refused }: SigningStatus): string[] {
  return [
    ...section(
      'Tokens that have not expired, at most',
      valid.map(({ versionId, kind, count: of }) => `key ${versionId}  ${kind}  ${number(of)}`),
    ),
    ...section(
      'Refused',
      refused.map(({ reason, versionId, count: of, lastAt }) => {
        const whose = reason === 'retired-key' ? `of the retired key ${versionId}` : 'of keys that are not known'
        return `${count(of, 'token')} ${whose}, the last at ${lastAt}`
      }),
    ),
  ]
}
