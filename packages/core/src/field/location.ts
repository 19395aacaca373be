/**
 * One step into a JSON document: a member's name or an array's index as text, null for any of them (`*`), or true for any number of steps
 * (`**`), which only the last one can be: every string from there on, at any depth.
 */
export type PathStep = string | null | true

/** Where a field stands in a database. Identifiers are exact: never folded to lower case, always quoted in SQL. */
export interface Location {
  /** `redis`: `table` is a pattern of keys there. Absent: the database. */
  readonly store?: 'redis'
  /** Null: the table is found through the connection's search path. */
  readonly schema: string | null
  readonly table: string
  readonly column: string
  /**
   * Where inside the JSON document that the column holds (json, jsonb, or JSON in a text column). Absent: the whole column is the
   * value. Empty: the document is one JSON string, and that is the value.
   */
  readonly path?: readonly PathStep[]
}
