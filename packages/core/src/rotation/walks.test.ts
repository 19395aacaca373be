import { describe, expect, test } from 'vitest'
import { fieldOf, newKeys } from '../../../../test/rotation/world.ts'
import hexColon from '../codecs/hex-colon.ts'
import kt1 from '../codecs/kt1.ts'
import type { MemoryTable } from '../databases/memory/table.ts'
import memory from '../databases/memory.ts'
import type { BoundType } from '../field/bound.ts'
import type { FieldDefinition } from '../field/field.ts'
import { staticKeyring } from '../keyring/static-keyring.ts'
import { tableWalks } from './walks.ts'

const users: MemoryTable = {
  name: 'users',
  key: [{ name: 'id', type: 'int' }],
  columns: [
    { name: 'token', type: 'text' },
    { name: 'refresh', type: 'bytes' },
    { name: 'tenant', type: 'uuid', nullable: false },
    { name: 'config', type: 'json' },
    { name: 'key_id', type: 'text', maxLength: 8 },
    { name: 'tiny', type: 'text', maxLength: 7 },
    { name: 'maybe', type: 'int' },
    { name: 'serial', type: 'int', nullable: false, assigned: true },
  ],
}
const database = memory({
  tables: [
    users,
    { ...users, schema: 'other', name: 'accounts' },
    { ...users, name: 'seen', facts: { kind: 'a view' } },
    { ...users, name: 'guarded', facts: { missingPrivileges: ['UPDATE'] } },
    { ...users, name: 'keyless', facts: { key: [] } },
    {
      ...users,
      name: 'foreign',
      facts: {
        columns: [{ name: 'token', type: 'citext', holds: null, maxLength: null, nullable: true, boundType: null, assigned: false }],
      },
    },
  ],
})
const other = staticKeyring('other', newKeys.snapshot.versions)
const keyed = (keyId: string, more: Partial<FieldDefinition> = {}) =>
  fieldOf('users.token', { writes: hexColon({}), reads: [], keyId, ...more })
const bound = (column: string, type: BoundType) => fieldOf('users.token', { bind: [{ column, type }] })

describe('What cannot be walked is refused', () => {
  test.each([
    ['an unknown table, with the nearest', fieldOf('user.token'), 'ERR_UNKNOWN_TABLE', /"user" in the database.*users/],
    ['a table of another schema', fieldOf('accounts.token'), 'ERR_UNKNOWN_TABLE', /other\.accounts|accounts/],
    ['an unknown column, with the nearest', fieldOf('users.tokn'), 'ERR_UNKNOWN_COLUMN', /no column "tokn".*token/],
    ['what is no table', fieldOf('seen.token'), 'ERR_NOT_A_TABLE', /a view/],
    ['a missing privilege', fieldOf('guarded.token'), 'ERR_PRIVILEGE', /UPDATE/],
    ['a table without a unique key', fieldOf('keyless.token'), 'ERR_NO_UNIQUE_KEY', /keyless/],
    ['a key that is the field itself', fieldOf('users.id'), 'ERR_NO_UNIQUE_KEY', /users/],
    ['a column that values cannot stand in', fieldOf('foreign.token'), 'ERR_COLUMN_TYPE', /citext/],
    ['an unknown bound column', bound('tenat', 'uuid'), 'ERR_UNKNOWN_COLUMN', /tenant/],
    ['a column bound as another type', bound('tenant', 'text'), 'ERR_BIND_TYPE', /uuid and declared as text/],
    ['a bound column that may be NULL', bound('maybe', 'int'), 'ERR_BIND_TYPE', /may be NULL/],
    ['a value bound to itself', bound('token', 'text'), 'ERR_BIND_TYPE', /to itself/],
    ['a path into bytes', fieldOf('users.refresh:/a'), 'ERR_COLUMN_TYPE', /bytea, in which no document stands/],
    ['a document that would hold bytes', fieldOf('users.config:/a', { writes: kt1({ encoding: 'bytes' }) }), 'ERR_CONFIG', /holds text/],
    [
      'text in a column of bytes',
      fieldOf('users.refresh', { writes: hexColon({}) }),
      'ERR_CONFIG',
      /holds bytes, and the format "hex-colon" writes text/,
    ],
    [
      'bytes in a column of text',
      fieldOf('users.token', { writes: kt1({ encoding: 'bytes' }) }),
      'ERR_CONFIG',
      /holds text, and the format "kt1" writes bytes/,
    ],
    ['an unknown column for key ids', keyed('keyid'), 'ERR_UNKNOWN_COLUMN', /key_id/],
    ['a column for key ids that is no text', keyed('maybe'), 'ERR_COLUMN_TYPE', /column "maybe" is of type bigint/],
    ['a column for key ids that is too short', keyed('tiny'), 'ERR_COLUMN_TOO_SHORT', /at most 7 characters.*need 8/],
    ['a bound id that the database assigns', bound('serial', 'int'), 'ERR_BIND_TYPE', /insertedFirst: true/],
  ] as const)('%s', async (_, field, code, message) => {
    const refused = tableWalks(database, [field], true)
    await expect(refused).rejects.toMatchObject({ code })
    await expect(refused).rejects.toThrow(message)
  })

  test('an assigned id is no hindrance where rows are inserted first', async () => {
    await tableWalks(database, [fieldOf('users.token', { bind: [{ column: 'serial', type: 'int' }], insertedFirst: true })], true)
  })
})

test.each([
  [
    'the same place',
    [fieldOf('users.token'), fieldOf('users.token', { name: 'b' })],
    /it stands where field "users.token" does: users.token/,
  ],
  ['a column and a path into it', [fieldOf('users.token'), fieldOf('users.token:/a', { name: 'b' })], /it stands where/],
  ['the same path', [fieldOf('users.config:/a'), fieldOf('users.config:/a', { name: 'b' })], /users\.config:\/a/],
  ['the key ids of another', [keyed('key_id'), fieldOf('users.key_id')], /its column holds the key ids of field "users.token"/],
  ['key ids in the field of another', [fieldOf('users.key_id'), keyed('key_id')], /values stand in that column/],
  [
    'key ids of two keyrings',
    [keyed('key_id'), keyed('key_id', { location: { schema: null, table: 'users', column: 'tiny' }, name: 'b', keyring: other })],
    /field "users.token" has its key ids there and another keyring/,
  ],
] as const)('two fields that would have %s are refused', async (_, fields, message) => {
  const refused = tableWalks(database, fields, true)
  await expect(refused).rejects.toMatchObject({ code: 'ERR_CONFIG' })
  await expect(refused).rejects.toThrow(message)
})

test('a column stands in a walk once, whatever stands in it; key ids are read along and are not walked for', async () => {
  const keyRing = staticKeyring('app', newKeys.snapshot.versions)
  const fields = [
    fieldOf('users.config:/a', { name: 'a' }),
    fieldOf('users.config:/b/*', { name: 'b', where: { on: true } }),
    fieldOf('users.config:/a', { name: 'c', where: { on: true } }),
    keyed('key_id', { keyring: keyRing }),
  ]
  const [table] = await tableWalks(database, fields, true)
  expect(table!.walk.columns.map(({ field: _, ...column }) => column)).toEqual([
    { column: 'config', holds: 'json', currentPrefix: null, isDocument: true },
    { column: 'token', holds: 'text', currentPrefix: null, currentKeyId: { column: 'key_id', id: 'newnewne' } },
    { column: 'key_id', holds: 'text', currentPrefix: null, isKeyId: true },
  ])
  expect(table!.places.map(({ column, keyId, path }) => [column, keyId, path])).toEqual([
    [0, null, ['a']],
    [0, null, ['b', null]],
    [0, null, ['a']],
    [1, 2, null],
  ])
  const [verifying] = await tableWalks(database, fields, false)
  expect(verifying!.walk.columns[1]).not.toHaveProperty('currentKeyId')
})

test('a document without a path is one string, and the keys of rows that are credentials are hashed', async () => {
  const [table] = await tableWalks(database, [fieldOf('users.config', { sensitive: ['id'] })], true)
  expect(table!.places[0]!.path).toEqual([])
  const name = table!.rowName(['42'])
  expect(name.id).toMatch(/^hmac:[0-9a-f]{16}$/)
  expect(table!.rowName(['42'])).toEqual(name)
  expect(table!.rowName(['43'])).not.toEqual(name)
  expect((await tableWalks(database, [fieldOf('users.config')], true))[0]!.rowName(['42'])).toEqual({ id: '42' })
})

test('each table is walked once, with all its fields, in the order of names', async () => {
  const fields = [
    fieldOf('users.token', {
      bind: [
        { column: 'tenant', type: 'uuid' },
        { column: 'id', type: 'int' },
      ],
    }),
    fieldOf('other.accounts.token'),
    fieldOf('users.refresh', { writes: kt1({ encoding: 'bytes' }), bind: [{ column: 'id', type: 'int' }] }),
  ]
  const walks = await tableWalks(database, fields, true)
  expect(walks.map(({ name, fields }) => [name, fields.map(({ location }) => location.column)])).toEqual([
    ['other.accounts', ['token']],
    ['public.users', ['token', 'refresh']],
  ])
  const [, { walk, places }] = walks as [unknown, (typeof walks)[number]]
  expect(walk.bound).toEqual([
    { column: 'tenant', type: 'uuid' },
    { column: 'id', type: 'int' },
  ])
  expect(places.map(({ bound }) => bound)).toEqual([[0, 1], [1]])
  expect(walk.columns.map(({ column, holds, currentPrefix }) => [column, holds, currentPrefix])).toEqual([
    ['token', 'text', 'kt1.newnewne.'],
    ['refresh', 'bytes', kt1({ encoding: 'bytes' }).prefixOf(newKeys.snapshot.active)],
  ])
  expect((await tableWalks(database, fields, false))[1]!.walk.columns.map(({ currentPrefix }) => currentPrefix)).toEqual([null, null])
})
