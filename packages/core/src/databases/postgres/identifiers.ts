/** An identifier as SQL: always quoted, so that mixed case and odd characters mean themselves. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

/** A table with its schema, as SQL. */
export function quoteTable({ schema, table }: { readonly schema: string; readonly table: string }): string {
  return `${quote(schema)}.${quote(table)}`
}
