import { ServiceError, sentence } from '../errors.ts'

/**
 * What may be done about a failure of the database.
 *
 * - `contention`: somebody else was in the way (lock timeout, serialization, deadlock): try again
 * - `connection`: the connection is gone: try again on another one
 * - `unknown-commit`: the connection ended during COMMIT: read the progress to know whether it happened
 * - `data`: the database refuses a row (length, constraint, trigger): find the row and set it aside
 * - `other`: stop
 */
export type DatabaseErrorKind = 'contention' | 'connection' | 'unknown-commit' | 'data' | 'other'

/** What an operator can do something about, in words. */
const meanings: Readonly<Record<string, string>> = {
  '25006': 'it takes no writes, as a replica does',
  '42501': 'this user lacks a privilege',
  '53100': 'its disk is full',
  '57014': 'the statement was cancelled or took longer than its timeout',
}

/** A failure of the database. Carries its code (a SQLSTATE), never its message, which may quote values. */
export class DatabaseError extends ServiceError {
  readonly kind: DatabaseErrorKind
  /** The database's code, such as `23514`. */
  readonly detail: string
  constructor(kind: DatabaseErrorKind, detail: string, doing: string) {
    const known = meanings[detail]
    super('ERR_DATABASE', sentence('ERR_DATABASE', known === undefined ? detail : `${detail}: ${known}`, doing))
    this.kind = kind
    this.detail = detail
  }
}
