import { expect, test } from 'vitest'
import { fieldOf, newKeys, oldKeys } from '../../../../test/rotation/world.ts'
import blob from '../codecs/blob.ts'
import kt1 from '../codecs/kt1.ts'
import plain from '../codecs/plain.ts'
import { staticKeyring } from '../keyring/static-keyring.ts'
import { currentMark } from './current-mark.ts'

test('values that all say their key have a mark; where others are read, or an older name is, they have none', () => {
  const mark = { any: 'kt1.', current: 'kt1.newnewne.' }
  expect(currentMark(fieldOf('a.b', { reads: [] }))).toEqual(mark)
  expect(currentMark(fieldOf('a.b', { reads: [{ codec: kt1(), keyring: staticKeyring('other', [oldKeys.snapshot.active]) }] }))).toEqual(
    mark,
  )
  expect(currentMark(fieldOf('a.b'))).toBeNull()
  expect(currentMark(fieldOf('a.b', { reads: [{ codec: plain({ looksLike: '[a-z]+' }), keyring: null }] }))).toBeNull()
  expect(currentMark(fieldOf('a.b', { reads: [{ codec: kt1({ encoding: 'bytes' }), keyring: oldKeys }] }))).toBeNull()
  expect(currentMark(fieldOf('a.b', { reads: [], was: ['older'] }))).toBeNull()
  expect(currentMark(fieldOf('a.b', { reads: [], writes: blob(), keyring: newKeys }))).toBeNull()
})
