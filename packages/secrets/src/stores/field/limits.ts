import type { Field, Keyturn } from '@keyturn/core'
import type { Shape } from './row.ts'

/** Why these fields cannot be a store, as far as the configuration tells; null for nothing. @param fields - by the names of the store */
export function faultOf(fields: ReadonlyMap<string, Field>, keyturn: Pick<Keyturn, 'config' | 'field'>): string | null {
  const all = [...fields.values()]
  const [first] = all
  for (const { name, location, keyring } of all) {
    if (location.store !== undefined)
      return `field "${name}" stands in Redis, where a key has no row and its value ends with its time to live: a store must keep it`
    if (location.schema !== first?.location.schema || location.table !== first.location.table)
      return `field "${name}" stands in another table: what is written together must be in one row`
    const given = keyturn.config.keyrings[keyring.name]
    if (given !== undefined && 'table' in given)
      return `keyring "${keyring.name}" of field "${name}" only decrypts: nothing can be written under it`
  }
  const names = all.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) return `field "${twice}" is named twice`
  return sharedKeyId(
    all,
    Object.keys(keyturn.config.fields).map((each) => keyturn.field(each)),
  )
}

/** A new key id beside values that are not written along would take from them the only word about their key. */
function sharedKeyId(own: readonly Field[], all: readonly Field[]): string | null {
  for (const { keyId, location, name } of own.filter((each) => each.keyId !== null)) {
    const other = all.find((each) => each.keyId === keyId && each.location.table === location.table && !own.includes(each))
    if (other !== undefined)
      return `fields "${name}" and "${other.name}" have their key ids in one column, so that they can only be written together: name both`
  }
  return null
}

/** Whether what stands there can be taken away again. */
export const canBeEmpty = ({ location: { column, path }, empty }: Field, { columns }: Shape): boolean => {
  const { notNull = true, base } = columns.get(column) ?? {}
  const inDocument = path !== undefined || base === 'json' || base === 'jsonb'
  return empty === 'keep' || (!inDocument && !notNull)
}
