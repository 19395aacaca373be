import { describe, expect, test } from 'vitest'
import { DatabaseError } from './database-error.ts'
import { isFenced } from './fencing.ts'

const name = 'keyturn_oldoldol_1'
const sentence = `new row for relation "t" violates check constraint "${name}"`
const wrapped = (error: object, as = 'cause') => Object.assign(new Error('Failed query'), { [as]: error })

describe('a refused write is recognised', () => {
  test.each([
    ['pg', Object.assign(new Error(sentence), { code: '23514', constraint: name })],
    ['postgres.js', Object.assign(new Error(sentence), { code: '23514', constraint_name: name })],
    ['PGlite', Object.assign(new Error(sentence), { code: '23514', constraint: name })],
    ['Drizzle', wrapped({ code: '23514', constraint: name })],
    ['TypeORM', wrapped({ code: '23514', constraint: name }, 'driverError')],
    ['Sequelize', wrapped({ code: '23514', constraint: name }, 'parent')],
    ['Prisma', Object.assign(new Error('x'), { code: 'P2010', meta: { code: '23514', message: sentence } })],
    [
      'Prisma with a driver adapter',
      Object.assign(new Error('x'), {
        code: 'P2039',
        meta: { driverAdapterError: { cause: { originalCode: '23514', originalMessage: sentence } } },
      }),
    ],
    ['a code and a sentence only', Object.assign(new Error(sentence), { code: '23514' })],
    ['wrapped three times', wrapped(wrapped(wrapped({ code: '23514', constraint: name })))],
  ])('of %s', (_driver, error) => {
    expect(isFenced(error)).toBe('oldoldol')
  })

  test.each([
    ['nothing', undefined],
    ['a text', sentence],
    ['a constraint of the application', Object.assign(new Error('x'), { code: '23514', constraint: 'keyturn_of_mine' })],
    ['another error that quotes one', Object.assign(new Error(sentence), { code: '22P02' })],
    ['an error without a code that quotes one', new Error(sentence)],
    ['ours, which keeps no name', new DatabaseError('data', '23514', 'running a statement')],
  ])('and %s is not', (_what, error) => {
    expect(isFenced(error)).toBeNull()
  })

  test('an error that is its own cause ends the search.', () => {
    const error = new Error('x')
    error.cause = error
    expect(isFenced(error)).toBeNull()
  })
})
