import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseReference } from '../field/reference.ts'
import { assertApart, type Place } from './places.ts'

const place = (column: string, more: Partial<Place> = {}): Omit<Place, 'name'> => ({
  keyring: 'app',
  location: parseReference(column),
  where: {},
  keyId: null,
  bind: [],
  ...more,
})
/** The refusal of two fields in either order, without what names the one that came second. */
function refusal(a: Omit<Place, 'name'>, b: Omit<Place, 'name'>): string | null {
  try {
    assertApart([
      { name: 'one', ...a },
      { name: 'two', ...b },
    ])
    return null
  } catch (error) {
    return (error as Error).message
  }
}

test.each([
  ['a.b', 'a.b', 'stands there already. A column belongs to one field'],
  ['a.b', 'a.b:/c', 'stands there already with all of the column'],
  ['a.b:', 'a.b', 'stands there already with all of the column'],
  ['a.b:/c', 'a.b:/c', 'may stand at the same place'],
  ['a.b:', 'a.b:', 'may stand at the same place'],
  ['a.b:/c/*', 'a.b:/*/d', 'may stand at the same place'],
  ['a.b:/*', 'a.b:/~2', 'may stand at the same place'],
  ['a.b:/**', 'a.b:/c/d', 'may stand at the same place'],
  ['a.b:/**', 'a.b:', 'may stand at the same place'],
  ['a.b:/c/**', 'a.b:/c', 'may stand at the same place'],
  ['a.b:/c/**', 'a.b:/*/d/**', 'may stand at the same place'],
  ['a.b:/c/**', 'a.b:/**', 'may stand at the same place'],
])('%s and %s: %s', (one, two, why) => {
  expect(refusal(place(one), place(two))).toContain(`at fields.two.column: field "one" ${why}`)
  expect(refusal(place(two), place(one))).toContain('at fields.two.column: field "one"')
})

test.each([
  ['a.b', 'a.c'],
  ['a.b', 'c.b'],
  ['s.a.b', 't.a.b'],
  ['a.b:/c', 'a.b:/d'],
  ['a.b:/c', 'a.b:/c/d'],
  ['a.b:', 'a.b:/c'],
  ['a.b:/c/*', 'a.b:/d/*'],
  ['a.b:/c/**', 'a.b:/d/**'],
  ['a.b:/c/d/**', 'a.b:/c'],
])('%s and %s stand apart', (one, two) => {
  expect(refusal(place(one), place(two))).toBeNull()
  expect(refusal(place(two), place(one))).toBeNull()
})

test('on one path, fields stand apart exactly when a member beside the value must differ', () => {
  const value = fc.constantFrom('a', 'b', 1, '1', true, null)
  const where = fc.dictionary(fc.constantFrom('type', 'kind', 'toString'), value)
  fc.assert(
    fc.property(where, where, (mine, theirs) => {
      const differ = Object.keys(mine).some((member) => Object.hasOwn(theirs, member) && mine[member] !== theirs[member])
      expect(refusal(place('a.b:/*', { where: mine }), place('a.b:/*', { where: theirs })) === null).toBe(differ)
    }),
  )
})

test('a column of key ids serves the fields of one keyring, and holds no values', () => {
  const keyed = place('a.b', { keyId: 'k' })
  expect(refusal(keyed, place('a.c', { keyId: 'k' }))).toBeNull()
  expect(refusal(keyed, place('a.c', { keyId: 'k', keyring: 'web' }))).toContain(
    'at fields.two.keyId: column "k" holds the key ids of field "one", which has another keyring',
  )
  expect(refusal(keyed, place('c.d', { keyId: 'k', keyring: 'web' }))).toBeNull()
  expect(refusal(place('a.k'), keyed)).toContain('at fields.two.keyId: column "k" holds the values of field "one"')
  expect(refusal(keyed, place('a.k'))).toContain('at fields.one.keyId: column "k" holds the values of field "two"')
  expect(refusal(keyed, place('c.k'))).toBeNull()
})

test('nothing is bound to a column that rotations change', () => {
  for (const bound of ['b', 'k']) {
    const sentence = `field "one" changes column "${bound}" in each rotation`
    expect(refusal(place('a.b', { keyId: 'k' }), place('a.c', { bind: ['id', bound] }))).toContain(`at fields.two.bind: ${sentence}`)
  }
  expect(refusal(place('a.b'), place('c.d', { bind: ['b'] }))).toBeNull()
})
