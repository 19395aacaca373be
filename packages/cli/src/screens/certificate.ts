import type { Certificate } from '@keyturn/core'
import { count, section } from './words.ts'

/**
 * What a certificate claims, for a person. What counts is its text.
 *
 * @param unchecked - the id of one that a database keeps: nobody has looked at its signature; null where somebody has
 */
export function certificateScreen({ claim, signer }: Certificate, unchecked: string | null): string {
  const check = [
    `keyturn certificate show ${unchecked} --json > certificate.json`,
    'keyturn certificate verify certificate.json --public-key FILE',
  ]
  return [...claimLines(claim, signer), ...(unchecked === null ? [] : section('The signature was not looked at. To check it', check))].join(
    '\n',
  )
}

/** The sentences of a claim; members that this version does not know are left to the text. */
function claimLines(claim: Certificate['claim'], signer: string): string[] {
  const setAside = countOf(claim.setAside)
  const what =
    claim.kind === 'retirement'
      ? `Key ${text(claim.version)} of keyring "${text(claim.keyring)}" was retired (rotation ${text(claim.rotation)})`
      : `Rotation ${text(claim.rotation)} of keyring "${text(claim.keyring)}" completed, mode ${text(claim.mode)}`
  return [
    `${what}; issued ${text(claim.issuedAt)}, signed by ${signer}.`,
    claim.complete === true ? 'Complete: nothing was left behind.' : `Not complete: ${count(setAside, 'value')} set aside.`,
    ...rewrittenLines(claim),
    ...fenceLines(claim.fence),
    ...(typeof claim.auditHead === 'string' ? [`The audit log stood at ${claim.auditHead}`] : []),
  ]
}

function rewrittenLines({ rewritten, preserved }: Certificate['claim']): string[] {
  const [values, kept] = [member(rewritten, 'values'), member(preserved, 'equal')]
  if (typeof values !== 'number' || values === 0) return []
  return [kept === true ? `${count(values, 'value')} rewritten; each kept its plaintext.` : `${count(values, 'value')} rewritten.`]
}

function fenceLines(fence: unknown): string[] {
  if (!Array.isArray(fence)) return ['Fence: none; the database does not refuse the old key.']
  const unproved = (one: unknown) => member(one, 'validated') === false
  return section(
    `Fences: the database refuses the key${fence.some(unproved) ? '' : ' and has checked every row'}`,
    fence.map((one: unknown) => {
      const place = `${text(member(one, 'table'))}.${text(member(one, 'column'))}  ${text(member(one, 'constraint'))}`
      return unproved(one) ? `${place}  not every row is checked` : place
    }),
  ).slice(1)
}

const countOf = (setAside: unknown): number => Number(member(setAside, 'count') ?? 0)
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
