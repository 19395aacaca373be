import hexColon from '../../packages/core/src/codecs/hex-colon.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import { staticKeyring, staticVersion } from '../../packages/core/src/keyring/static-keyring.ts'
import { fieldOf, newKey, oldKey, oldKeys, type Queries, writeOld } from './world.ts'

/** A table with values in every kind of place, several of them in one row and in one document. */

const columns = 'id bigint PRIMARY KEY, token text, secret text, key_id text, config jsonb, raw json, note text'

/** The keyring of all fields here: its older key is that of the application before. */
export const keys = staticKeyring('app', [staticVersion('newnewne', 2, 'active', newKey), staticVersion('oldoldol', 1, 'retiring', oldKey)])

/** The fields of table `name`, eight values in each row. */
export function placeFields(name: string): Field[] {
  const reads = [{ codec: hexColon({}), keyring: oldKeys }]
  return [
    fieldOf(`${name}.token`, { keyring: keys }),
    fieldOf(`${name}.secret`, { keyring: keys, writes: hexColon({}), reads, keyId: 'key_id' }),
    fieldOf(`${name}.config:/headers/*/value`, { name: 'headers', keyring: keys, where: { secret: true } }),
    fieldOf(`${name}.config:/oauth/*`, { name: 'oauth', keyring: keys }),
    fieldOf(`${name}.raw:/a`, { name: 'raw', keyring: keys }),
    fieldOf(`${name}.note:/*/value`, { name: 'note', keyring: keys }),
  ]
}
export const valuesInRow = 8

const sealed = (text: string) => JSON.stringify(writeOld(text))

/** A row as the application wrote it, in spellings that a parser and printer would not keep. */
export function rowOf(id: number): readonly unknown[] {
  return [
    id,
    writeOld(`token ${id}`),
    writeOld(`secret ${id}`),
    // Rows of before the application noted its key ids.
    id % 2 === 0 ? null : 'oldoldol',
    `{"headers": [{"name": "X-Api-Key", "value": ${sealed(`header ${id}`)}, "secret": true}, {"name": "Accept", "value": "text/plain", "secret": false}], "oauth": {"access": ${sealed(`access ${id}`)}, "refresh": ${sealed(`refresh ${id}`)}}, "edits":0, "n": 12345678901234567890.10}`,
    `{ "a" : ${sealed(`first ${id}`)},\n\t"a":${sealed(`second ${id}`)} , "w" : 1.0,"edits":0, "w":1e400 }`,
    `{"x":{"value":${sealed(`note ${id}`)}},"edits":0,"\\u0061":"\\/"}`,
  ]
}

/** Makes the table with the rows 1 to `rows`. */
export async function fillPlaces(sql: Queries, name: string, rows: number): Promise<void> {
  await sql.query(`CREATE TABLE IF NOT EXISTS ${name} (${columns})`)
  const all = Array.from({ length: rows }, (_, index) => rowOf(index + 1))
  const types = ['bigint', 'text', 'text', 'text', 'text', 'text', 'text']
  await sql.query(
    `INSERT INTO ${name} SELECT i, t, s, k, c::jsonb, r::json, n FROM unnest(${types.map((type, index) => `$${index + 1}::${type}[]`).join(', ')}) AS v(i, t, s, k, c, r, n)`,
    types.map((_, index) => all.map((row) => row[index])),
  )
}

/** The documents of a table as text, by row and column. */
export async function documentsOf(sql: Queries, name: string): Promise<Map<string, string>> {
  const { rows } = await sql.query(`SELECT id::text, config::text, raw::text, note FROM ${name}`)
  return new Map(
    rows.flatMap(({ id, config, raw, note }) =>
      Object.entries({ config, raw, note }).map(([column, text]) => [`${id} ${column}`, String(text)]),
    ),
  )
}

/** A document without its values: what must never change. */
export function around(document: string): string {
  return document.replaceAll(/"(?:[0-9a-f]{24}:[0-9a-f]{32}:[0-9a-f]*|kt1\.[^"]*)"/g, '#')
}

/** The plaintexts of a row as the application reads them with the new key only. */
export function plaintextsOf(fields: readonly Field[], row: Record<string, unknown>): string[] {
  const named = new Map(fields.map((field) => [field.name, field]))
  const read = (name: string, stored: string) => named.get(name)?.decryptSync(stored) ?? ''
  const [config, note] = [row.config as string, JSON.parse(row.note as string)]
  const { headers, oauth } = JSON.parse(config)
  const doubled = [...(row.raw as string).matchAll(/"a"\s*:\s*"([^"]*)"/g)].map(([, value]) => read('raw', value as string))
  return [
    read(fields[0]?.name ?? '', row.token as string),
    Buffer.from((fields[1] as Field).open(row.secret as string, [], row.key_id as string).plaintext).toString(),
    read('headers', headers[0].value),
    read('oauth', oauth.access),
    read('oauth', oauth.refresh),
    ...doubled,
    read('note', note.x.value),
  ]
}

/** What `plaintextsOf` gives of row `id`. */
export const plaintexts = (id: number) =>
  ['token', 'secret', 'header', 'access', 'refresh', 'first', 'second', 'note'].map((name) => `${name} ${id}`)
