import type { Call, Finding } from './call.ts'

/** What is to stand under each name; null removes the name. */
export interface Values {
  readonly [name: string]: string | null
}

/** What stands under a name: the value, or a digest where the store gives no values; null where there is nothing. */
export type Held = { readonly value: string } | { readonly digest: string } | null

/**
 * Where consumers read the secret: an item, a file, an environment.
 *
 * Errors are those of `outside/`. A store that cannot hold several names at once refuses them in `check`.
 */
export interface Store {
  /** Whose limits its calls count against, as for a rotator. */
  readonly provider?: string
  /** The longest that one call may take, in milliseconds; 30,000 unless given. */
  readonly callMs?: number
  /** Looks whether it could write these names: login, rights, that the place exists. Changes nothing. */
  check(call: Call, names: readonly string[]): Promise<readonly Finding[]>
  /** What consumers would read now. */
  look(call: Call, names: readonly string[]): Promise<{ readonly [name: string]: Held }>
  /** The digest that `look` would give for a value, where it gives digests. */
  digest?(call: Call, value: string): Promise<string>
  /** Puts the values where nobody reads them yet, where the store has such a place. Repeating with the same attempt is harmless. */
  stage?(call: Call, values: Values): Promise<void>
  /**
   * What consumers read from now on: all names together. Repeating is harmless. Keeps what else stands there. What was staged by the same
   * attempt becomes current.
   *
   * @returns what a target may wait for: the version that consumers must have, or null
   */
  write(call: Call, values: Values): Promise<{ readonly version: string | null }>
  /** Takes away what this attempt staged and did not write. Repeating is harmless. */
  unstage?(call: Call): Promise<void>
}
