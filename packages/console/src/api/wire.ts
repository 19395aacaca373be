import type * as domain from '../domain.ts'

/** Times come as ISO strings: the same shape, with strings in place of dates. */
export type Wire<T> = T extends Date
  ? string
  : T extends readonly (infer U)[]
    ? readonly Wire<U>[]
    : T extends object
      ? { readonly [K in keyof T]: Wire<T[K]> }
      : T

export type WireVersion = Wire<Omit<domain.KeyVersion, 'state'>> & { readonly state: string }
export interface WireKeyring
  extends Wire<Pick<domain.Keyring, 'name' | 'kind' | 'dueAt' | 'findings' | 'messagesLeft' | 'fields' | 'policy'>> {
  readonly versions: readonly WireVersion[]
  readonly due: readonly string[]
  readonly signing: object | null
  readonly census: Wire<domain.Counts> | null
}
export interface WireCensus {
  readonly keyring: string
  readonly at: string | null
  readonly running: boolean
  readonly census: { readonly fields: readonly Wire<domain.FieldCensus>[] } | null
}
export type WireSetAside = Omit<domain.SetAside, 'row' | 'path'> & {
  readonly row: { readonly [column: string]: string }
  readonly path?: string | null
}
export type WirePlan = Omit<domain.Plan, 'wire'>
export interface WireCertificate {
  readonly format: string
  readonly claim: { readonly [name: string]: unknown }
  readonly signer: string
  readonly signature: string
}
