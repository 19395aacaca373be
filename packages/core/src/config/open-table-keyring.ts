import { isUtf8 } from 'node:buffer'
import { fail, isKeyturnError } from '../errors.ts'
import { parseReference } from '../field/reference.ts'
import { Source } from '../field/source.ts'
import { keyFromText } from '../keyring/key-rule.ts'
import { KeyMaterial } from '../keyring/key-version.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { environmentKeyring } from '../keyring-stores/environment.ts'
import tableKeyring from '../keyring-stores/table.ts'
import type { SecretRef, TableKeyringConfig } from './config.ts'
import { openCodec } from './open-codec.ts'
import { type KeyringWorld, labelOf } from './open-keyrings.ts'
import { variableOf } from './variable.ts'

/** Opens the keys that an application keeps in a table of its own. @throws see `tableKeyring`; `ERR_ENV_MISSING` without what opens them */
export async function openTableKeyring(name: string, config: TableKeyringConfig, world: KeyringWorld): Promise<LiveKeyring> {
  const { key, previous = [], keyRule = 'hex', table, columns } = config
  if ('env' in key && variableOf(world.env, key.env) === undefined)
    throw fail('ERR_ENV_MISSING', key.env, `the keys of keyring "${name}", which stand in a table`)
  const roots = environmentKeyring(`${name}.key`, { primary: key, previous, keyRule }, { ...world, production: false, warn: () => {} })
  return await tableKeyring({
    sql: world.sql,
    name,
    table: tableInSql(table),
    columns,
    unwrap: async (wrapped) => {
      const codec = await openCodec(config.wrapped, typeof wrapped === 'string' ? 'text' : 'bytes')
      const opened = codec.matches(wrapped) ? new Source(codec, roots, name).open(wrapped, []) : null
      return opened === null ? null : materialOf(opened.plaintext, config.unwrapped ?? 'bytes')
    },
    roots: [key, ...previous].map((ref: SecretRef) => labelOf(ref)).join(', '),
    warn: world.warn,
  })
}

/** What was wrapped: the 32 bytes themselves, or a text that means them. Null where it is neither. */
function materialOf(bytes: Uint8Array, unwrapped: NonNullable<TableKeyringConfig['unwrapped']>): KeyMaterial | null {
  try {
    if (unwrapped === 'bytes') return bytes.length === 32 ? new KeyMaterial(bytes) : null
    return isUtf8(bytes) ? keyFromText(Buffer.from(bytes).toString('utf8'), unwrapped, 'the wrapped key') : null
  } catch (error) {
    if (isKeyturnError(error, 'ERR_KEY_FORMAT')) return null
    throw error
  } finally {
    bytes.fill(0)
  }
}

/** `table` or `schema.table`, with quotes as in the column of a field. @throws `ERR_USAGE` */
export function tableInSql(table: string): string {
  const { schema, table: name, path } = parseReference(`${table}.column`)
  if (path !== undefined) throw fail('ERR_USAGE', 'a table has no path')
  const quote = (part: string): string => `"${part.replaceAll('"', '""')}"`
  return schema === null ? quote(name) : `${quote(schema)}.${quote(name)}`
}
