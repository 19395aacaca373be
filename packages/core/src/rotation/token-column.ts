import type { Location } from '../field/location.ts'

/** A column of tokens, and how a row says that its token is hashed. */
export interface TokenPlace extends Pick<Location, 'schema' | 'table' | 'column'> {
  /** A column of the same table (boolean, a time, text) that is set where the token is hashed; null: the hash itself is marked, `sha256:…`. */
  readonly mark: string | null
}

/** What stands in a column of tokens. NULL is none. */
export interface TokenCounts {
  readonly hashed: number
  /** Tokens in the clear. */
  readonly plain: number
  /** The empty text, which is no token and stays. */
  readonly empty: number
  /** What looks like no token: values that are encrypted, hashes of passwords, sentences, short codes. */
  readonly other: number
}

/** Finds columns of tokens in a database. @throws UsageError where tokens cannot be hashed: no such column, too short, no text, missing privileges */
export type FindTokens = (place: TokenPlace) => Promise<TokenColumn>

/** What hashing the tokens of a column needs of its database. */
export interface TokenColumn {
  /** Looks at every row. Changes nothing. */
  count(): Promise<TokenCounts>
  /** Parts of the table as it is now, each hashed in one transaction. Rows that are written later may stand behind the last. */
  parts(): Promise<number>
  /**
   * Hashes the tokens of one part that are in the clear, in one transaction. Rows that others have locked are passed over. A row whose new value
   * the database refuses stays as it is.
   *
   * @returns how many it hashed, and how many the database refused
   */
  hash(part: number): Promise<{ readonly hashed: number; readonly refused: number }>
  /**
   * Makes the database refuse tokens in the clear from now on, and check every row. Does nothing where it does already.
   *
   * @returns the name of the constraint. @throws `ERR_TOKEN_COLUMN` where a row still holds one; `ERR_PRIVILEGE` or `ERR_LOCK_TIMEOUT`
   */
  refusePlain(): Promise<string>
}
