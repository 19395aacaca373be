import { fail } from '@keyturn/core'
import { expect, test } from 'vitest'
import { answering, problemOf, wrongInput } from './problem.ts'

test('An error of ours is answered with its code and its sentence, by what can be done about it.', () => {
  const statusOf = (...given: Parameters<typeof fail>) => problemOf(fail(...given)).problem.status
  expect(statusOf('ERR_UNKNOWN_NAME', 'keyring', 'app', '')).toBe(404)
  expect(statusOf('ERR_ROTATION_RUNNING', 'app', '1', 'running', '1')).toBe(409)
  expect(statusOf('ERR_SAMPLE', 'a', 1)).toBe(422)
  expect(statusOf('ERR_DATABASE', 'x', 'y')).toBe(503)
  expect(problemOf(answering(fail('ERR_FORBIDDEN', 'no'), { statusCode: 403, headers: { a: 'b' } }))).toMatchObject({
    problem: { type: 'about:blank', title: 'Forbidden', status: 403, code: 'ERR_FORBIDDEN' },
    headers: { a: 'b' },
  })
  expect(problemOf(fail('ERR_UNAUTHORIZED')).headers).toEqual({ 'www-authenticate': 'Bearer' })
  expect(problemOf(wrongInput('/mode', 'it is not one')).problem).toMatchObject({ status: 400, field: '/mode' })
})

test('Of an error that is not ours nothing is told.', () => {
  const { problem } = problemOf(new Error('postgres://user:password@host refused'))
  expect(problem).toMatchObject({ status: 500, code: 'ERR_UNEXPECTED' })
  expect(JSON.stringify(problem)).not.toContain('password')
  expect(problemOf(null).problem.status).toBe(500)
  expect(problemOf(Object.assign(new Error('secret'), { statusCode: 400, code: 'X' })).problem.detail).not.toContain('secret')
})
