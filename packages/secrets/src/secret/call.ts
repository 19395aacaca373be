import type { Keyturn, SecretRef, SqlState } from '@keyturn/core'

/**
 * What every call to a part is given. A part does one call after another and keeps nothing between them: the next one may come from
 * another process, after this one died.
 */
export interface Call {
  /** The name of the secret in the configuration. */
  readonly secret: string
  /**
   * A UUID that names this attempt, the same in every repetition of a call. What is made outside carries it where there is a place for
   * a name, as `keyturn-ATTEMPT`, so that it is known again after a crash.
   */
  readonly attempt: string
  /** Ends the call: it has taken too long, or the process stops. What it did until then may have taken effect. */
  readonly signal: AbortSignal
}

/** What the factory of a part is given beside its options. */
export interface World {
  /** What a `{ env }` or `{ file }` of the configuration holds now. Read at each use: it may be rotated, too. @throws `ERR_ENV_MISSING` */
  read(ref: SecretRef): Promise<string>
  /** The clock, in milliseconds since 1970. */
  now(): number
  /** The application whose secrets these are: its fields and keyrings, and its own database. @throws `ERR_USAGE` where a part is used without one */
  application(): Application
}

/** An opened configuration, and the database of the application, in which Keyturn keeps its state as well. */
export interface Application {
  readonly keyturn: Keyturn
  readonly state: SqlState
}

/** What is wrong, or worth knowing, before anything is called: a sentence without secrets. Faults refuse the plan. */
export interface Finding {
  readonly severity: 'fault' | 'warning'
  readonly sentence: string
}

/** An answer to "does it work?". The sentence says what was seen, without secrets: it is kept as evidence. */
export type Verdict =
  | { readonly works: true; readonly sentence: string }
  /** `later`: it may work soon, since what was made spreads slowly. Asked again until the deadline of the step. */
  | { readonly works: false; readonly sentence: string; readonly later: boolean }

/** Facts to keep as evidence: names, ids that are no secrets, counts, codes. */
export interface Evidence {
  readonly [name: string]: string | number | boolean | null
}
