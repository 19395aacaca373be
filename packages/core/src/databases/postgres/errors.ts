import { KeyturnError } from '../../errors.ts'
import { DatabaseError, type DatabaseErrorKind } from '../../rotation/database-error.ts'

/** SQLSTATE classes and codes by what may be done about them (PostgreSQL manual, appendix A). */
const kinds: readonly (readonly [RegExp, DatabaseErrorKind])[] = [
  [/^(40001|40P01|55P03)$/, 'contention'],
  [/^(08...|57P0[123])$/, 'connection'],
  // Triggers may raise every class of PL/pgSQL and of other languages, and classes that neither the standard nor Postgres uses.
  [/^(2[1237F]...|3[89]...|44000|P....|[6I-OQ-WYZ]....)$/, 'data'],
]

/** What `pg` says when a connection ends under it, without a SQLSTATE. */
const lost =
  /connection terminated|connection ended|client has encountered a connection error|ECONNRESET|ECONNREFUSED|EPIPE|ETIMEDOUT|ENOTFOUND|timeout exceeded when trying to connect|client was closed/i

/**
 * Our error for one of the database's. Of the original only its code survives: its message and detail may quote values.
 *
 * @param doing - what was being done, in words
 * @param at - `commit: true` when it is not known whether the transaction committed
 */
export function databaseError(error: unknown, doing: string, at: { commit?: boolean } = {}): KeyturnError {
  if (error instanceof KeyturnError && !at.commit) return error
  if (error instanceof DatabaseError)
    return new DatabaseError(error.kind === 'connection' ? 'unknown-commit' : error.kind, error.detail, doing)
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : ''
  const kind = kinds.find(([pattern]) => pattern.test(code))?.[1] ?? (lost.test(`${code} ${message}`) ? 'connection' : 'other')
  return new DatabaseError(
    kind === 'connection' && at.commit ? 'unknown-commit' : kind,
    code || (kind === 'connection' ? 'connection lost' : 'no code'),
    doing,
  )
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error) || typeof error.code !== 'string') return ''
  return /^[A-Z0-9_]{1,40}$/.test(error.code) ? error.code : ''
}
