import { fail } from '../errors.ts'
import type { Keyturn } from '../keyturn.ts'
import type { Field } from './field.ts'

/** A column that an adapter encrypts and decrypts, in a table. */
export interface EncryptedColumn {
  readonly column: string
  readonly field: Field
}

/**
 * The columns that an adapter of an ORM takes care of, of one table. Those of several tables with one name in different schemas are told
 * apart where both sides name a schema.
 */
export type ColumnsOf = (schema: string | null | undefined, table: string) => readonly EncryptedColumn[]

/**
 * Which columns of which tables an adapter takes care of: those of the fields named, or of all fields.
 *
 * @param only - names of fields
 * @returns a look-up, which throws `ERR_USAGE` for a table with a field that is not one column: inside a document, or with a key id beside it
 */
export function encryptedColumns(keyturn: Pick<Keyturn, 'config' | 'field'>, only?: readonly string[]): ColumnsOf {
  const fields = (only ?? Object.keys(keyturn.config.fields)).map((name) => keyturn.field(name))
  return (schema, table) =>
    fields
      .filter(({ location }) => location.store === undefined && location.table === table)
      .filter(({ location }) => location.schema === null || schema == null || location.schema === schema)
      .map((field) => {
        assertWhole(field)
        return { column: field.location.column, field }
      })
}

function assertWhole({ name, location, keyId }: Field): void {
  const why = location.path !== undefined ? 'stands inside a document' : keyId !== null ? 'has its key id in another column' : null
  if (why === null) return
  throw fail('ERR_USAGE', `field "${name}" ${why}, which an adapter does not encrypt: name the other fields with { fields: [...] }`)
}
