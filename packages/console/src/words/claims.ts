import { count, counted } from './numbers.ts'

type Claim = { readonly [name: string]: unknown }
const part = (claim: Claim, name: string): Claim => (claim[name] ?? {}) as Claim
const number = (value: unknown): number => (typeof value === 'number' ? value : 0)

/** What a certificate of a rotation claims, in sentences. Says nothing of what is not in it. */
export function claimsOf(claim: Claim): readonly string[] {
  const [after, rewritten, setAside] = [part(claim, 'after'), part(claim, 'rewritten'), part(claim, 'setAside')]
  return [
    `${counted(number(rewritten.values), 'value')} rewritten in ${counted(number(rewritten.rows), 'row')} of ${counted(number(rewritten.tables), 'table')}.`,
    `${count(number(after.current))} of ${counted(number(after.total), 'value')} current after it, each of them opened.`,
    ...(number(after.other) > 0 ? [`${counted(number(after.other), 'value')} under another key or format.`] : []),
    ...(number(setAside.count) > 0 ? [`${counted(number(setAside.count), 'value')} set aside, as they were.`] : []),
    preserved(claim.preserved),
    fence(claim.fence),
  ]
}

function preserved(value: unknown): string {
  if (typeof value !== 'object' || value === null) return 'Whether plaintexts were preserved was not measured.'
  const { values, equal, scope } = value as Claim
  if (equal !== true) return 'Not every rewritten value is proved to have kept its plaintext.'
  return scope === 'all'
    ? 'Every value of its fields kept its plaintext.'
    : `Each of the ${count(number(values))} rewritten values kept its plaintext.`
}

const fence = (value: unknown): string =>
  Array.isArray(value) && value.length > 0
    ? `The database refuses retired keys: ${counted(value.length, 'fence')}.`
    : 'No fence yet: old keys are refused by the database once they are retired.'
