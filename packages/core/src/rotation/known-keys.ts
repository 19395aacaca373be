import type { Field } from '../field/field.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { shownId } from './take-census.ts'

/** A sentence for each key of these fields that everybody knows. It opens what older deployments have left, and protects nothing. */
export function knownKeys(fields: readonly Field[], ...more: readonly LiveKeyring[]): string[] {
  const keyrings = fields.flatMap(({ keyring, reads }) => [keyring, ...reads.flatMap((read) => read.keyring ?? [])])
  return [...new Set([...more, ...keyrings])].flatMap((keyring) =>
    [...(keyring.knownToAll ?? [])].map(
      (id) => `${shownId(keyring, id)} is all zeros, a key that everybody knows: rotate the values under it, then take it away`,
    ),
  )
}
