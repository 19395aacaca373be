import { fail } from '../errors.ts'
import { permanentName } from './context.ts'
import type { FieldDefinition } from './definition.ts'

/**
 * Refuses what could not work or could not be undone.
 *
 * @throws `ERR_CONFIG` for a name that cannot be permanent, a codec without keys to write, a column bound twice, a column of key ids
 *   for a format that names its key or inside a document, and a condition without a path
 */
export function checkDefinition(definition: FieldDefinition): void {
  const { name, location, keyring, writes, reads, bind, where = {}, only = null, keyId = null, was = [] } = definition
  const refuse = (sentence: string) => fail('ERR_CONFIG', `field "${name}"`, sentence)
  if (writes.keyless) throw refuse(`a field cannot write "${writes.name}", which encrypts nothing`)
  for (const permanent of [name, ...was, keyring.name, ...reads.flatMap((read) => read.keyring?.name ?? [])]) {
    if (!permanentName.test(permanent)) throw fail('ERR_CONFIG', `"${permanent}"`, 'a name has 1 to 128 characters of A-Z a-z 0-9 . _ -')
  }
  const repeated = bind.find(({ column }, index) => bind.findIndex((other) => other.column === column) < index)
  if (repeated !== undefined) throw refuse(`column "${repeated.column}" is bound twice`)
  if (was.includes(name)) throw refuse('its older names include the one that it has')
  if (Object.keys(where).length > 0 && (!location.path?.length || location.path.includes(true)))
    throw refuse('a condition on members beside the value needs a path inside a document that does not end in **')
  if (location.path?.slice(0, -1).includes(true)) throw refuse('** stands for everything below, and ends a path')
  if (only !== null && location.path === undefined) throw refuse('"only" chooses among the strings of a document: it needs a path')
  if (only !== null && reads.some(({ codec }) => codec.keyless))
    throw refuse('it takes only what is encrypted, and reads plain text. Leave out one of the two')
  if (keyId === null) return
  if (writes.namesKey) throw refuse(`values of "${writes.name}" name their key themselves: they need no column for its id`)
  if (keyId === location.column) throw refuse('the column of its key ids is the column of its values')
  if (location.path !== undefined) throw refuse('a column of key ids belongs to a whole column, not to a place inside a document')
  if (bind.some(({ column }) => column === keyId)) throw refuse('it cannot be bound to its key id, which changes with each rotation')
}
