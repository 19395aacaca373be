/** A change of state, before it is in the log: who, what, to what, with which facts. */
export interface AuditEvent {
  /** Who: `user:ada`, `token:ci`, `command:root@host`, `library`. Never an address of a secret. */
  readonly actor: string
  /** `noun.verb`, such as `keyring.rotate`, `version.activate`, `rotation.complete`. */
  readonly action: string
  /** What it was done to: `keyring/app`, `rotation/01J…`. */
  readonly subject: string
  /** Facts: names, ids, counts, codes. Never a key, value, token or connection string. Safe integers, strings, booleans, null. */
  readonly data: { readonly [name: string]: AuditValue }
}
export type AuditValue = string | number | boolean | null | readonly AuditValue[] | { readonly [name: string]: AuditValue }
