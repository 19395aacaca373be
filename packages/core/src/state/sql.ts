/** A result of a statement. */
export interface SqlResult {
  readonly rows: readonly Record<string, unknown>[]
  /** Rows that the statement inserted, updated or deleted; for SELECT the rows returned. */
  readonly count: number
}

/** One connection, inside or outside a transaction. */
export interface Sql {
  /** One statement with parameters `$1 …`. Values never stand in the text. */
  query(text: string, values?: readonly unknown[]): Promise<SqlResult>
  /** Several statements without parameters. */
  exec(text: string): Promise<void>
}

/** Where our own state stands: a Postgres or PGlite that can run transactions. */
export interface SqlState extends Sql {
  /**
   * Runs `work` in one transaction (READ COMMITTED). Rolled back when `work` throws. Calls on the outer object inside `work` are
   * not part of it.
   */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  /** The schema of our tables, `keyturn` unless configured, as a quoted identifier. */
  readonly schema: string
}
