import type { FieldCensus, Keyring } from '../domain.ts'

/** A share of the values of a keyring: those under one key, or those that nothing opens. */
export interface Segment {
  readonly key: string
  readonly says: string
  readonly tone: string
  readonly values: number
}

const tones = ['active', 'pending', 'retiring', 'retired', 'other', 'destroyed', 'unreadable']

/** The values of some fields by key, the active one first. */
export function segmentsOf(fields: readonly FieldCensus[], versions: Keyring['versions']): readonly Segment[] {
  const found = new Map<string, Segment>()
  const add = ({ key, values, ...rest }: Segment) => {
    if (values > 0) found.set(key, { key, ...rest, values: values + (found.get(key)?.values ?? 0) })
  }
  for (const { groups, unreadable } of fields) {
    for (const { keyId, state, codec, values, current } of groups) {
      const version = versions.find(({ id }) => id === keyId)
      const says =
        keyId === null ? (codec === 'plain' ? 'not encrypted yet' : `format ${codec}`) : version ? `version ${version.number}` : keyId
      // The active key in an older format is not what would be written today.
      const tone = state === 'active' && !current ? 'other' : (version?.state ?? state ?? 'other')
      add({ key: `${keyId ?? codec} ${tone}`, says: tone === 'other' && keyId !== null ? `${says}, ${codec}` : says, tone, values })
    }
    add({ key: 'unreadable', says: 'no key fits', tone: 'unreadable', values: unreadable })
  }
  return [...found.values()].sort((a, b) => tones.indexOf(a.tone) - tones.indexOf(b.tone))
}
