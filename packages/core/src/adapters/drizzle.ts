import { customType } from 'drizzle-orm/pg-core'
import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import type { DecryptedText, EncryptedValue } from '../field/kinds.ts'

/** A field, or how to get it: tables are declared before a configuration is opened. */
export type FieldSource = Field | (() => Field)

/**
 * A column type for Drizzle: texts that are encrypted in the table and decrypted in the application. In a `bytea` column, too.
 *
 * It uses the sync forms, because column types cannot wait: where a key is not loaded (`ERR_KEY_NOT_LOADED`) or the database refuses it,
 * `withFreshKeys` around the query loads it and runs the query again. A condition on the column finds nothing but NULL, since each
 * encryption of a value is another.
 *
 * @param source - the field, or a function that gives it, asked for the first value
 * @throws `ERR_USAGE` for a bound field: a column type does not see the row. Encrypt such values where the row is made
 * @example
 * import { open } from '@keyturn/core'
 *
 * const keyturn = await open(config, { pool })
 * const encrypted = drizzleColumn(() => keyturn.field('github.token'))
 * const column = encrypted('encryptedToken') // pgTable('github_configs', { token: encrypted('encryptedToken') })
 * await keyturn.close()
 */
export default function drizzleColumn(source: FieldSource, { bytes = false }: { readonly bytes?: boolean } = {}) {
  let asked: Field | undefined
  const field = (): Field => {
    asked ??= unbound(typeof source === 'function' ? source() : source)
    return asked
  }
  if (typeof source !== 'function') field()
  return customType<{ data: DecryptedText; driverData: EncryptedValue }>({
    dataType: () => (bytes ? 'bytea' : 'text'),
    // Drizzle asks for NULL where it is given to a prepared statement.
    toDriver: (plain: DecryptedText | null) => (plain === null ? (plain as never) : field().encryptSync(plain)),
    fromDriver: (stored) => opened(field(), bytes ? bytesOf(stored) : stored),
  })
}

function opened(field: Field, stored: EncryptedValue): DecryptedText {
  return field.isKept(stored) ? String(stored) : field.decryptSync(stored)
}

/** Relational queries give rows as JSON, in which bytes are hexadecimal text. */
function bytesOf(stored: EncryptedValue): EncryptedValue {
  return typeof stored === 'string' ? Buffer.from(stored.replace(/^\\x/, ''), 'hex') : stored
}

function unbound(field: Field): Field {
  const { name, bind, keyId } = field
  if (bind.length > 0) {
    const columns = bind.map(({ column }) => `"${column}"`).join(', ')
    throw fail(
      'ERR_USAGE',
      `field "${name}" is bound to ${columns}, and a column type does not see the row: encrypt it where the row is made`,
    )
  }
  if (keyId !== null) throw fail('ERR_USAGE', `field "${name}" has its key id in another column, which a column type does not see`)
  return field
}
