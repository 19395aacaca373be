import { fail } from '@keyturn/core'
import { expect, test } from 'vitest'
import { exitOfError, exitOfRotation, exitOfSecretRun, exitOfVerification } from './exit.ts'

test('an error before anything was attempted is 2, and 1 afterwards', () => {
  for (const code of ['ERR_USAGE', 'ERR_CONFIG', 'ERR_SAMPLE', 'ERR_KEY_FORMAT', 'ERR_ROTATION_RUNNING', 'ERR_DATABASE'] as const) {
    expect([exitOfError(fail(code), false), exitOfError(fail(code), true)]).toEqual([2, 1])
  }
})

test('what is raised only after an attempt is always 1', () => {
  for (const code of ['ERR_LOCK_TIMEOUT', 'ERR_ROUND_TRIP', 'ERR_APP_RUNNING', 'ERR_UNEXPECTED'] as const) {
    expect(exitOfError(fail(code), false)).toBe(1)
  }
})

test.each([
  ['completed', 0, 0],
  ['completed', 2, 3],
  ['paused', 0, 4],
  ['paused', 2, 4],
  ['waiting', 0, 4],
  ['failed', 0, 1],
  ['cancelled', 0, 1],
] as const)('a rotation that is %s with %i values set aside is %i', (state, failedCount, code) => {
  expect(exitOfRotation({ state, failedCount })).toBe(code)
})

test.each([
  ['completed', 'forward', 'sweep', 0],
  ['rolled-back', 'back', 'sweep', 1],
  ['cancelled', 'forward', 'task', 1],
  ['waiting', 'forward', 'grace', 0],
  ['waiting', 'forward', 'soak', 0],
  ['waiting', 'forward', 'revoke', 4],
  ['waiting', 'back', 'remove', 4],
  ['running', 'forward', 'verify', 4],
  ['paused', 'forward', 'grace', 4],
] as const)('a run of a secret that is %s, %s, at %s is %i', (state, direction, step, code) => {
  expect(exitOfSecretRun({ state, direction, steps: [step], position: 0 }, { wanted: ['completed'], remains: false })).toBe(code)
})

test('what was asked for decides: a run that was to go back, and one that leaves something behind', () => {
  const at = { direction: 'back', steps: [], position: 0 } as const
  expect(exitOfSecretRun({ ...at, state: 'rolled-back' }, { wanted: ['rolled-back'], remains: false })).toBe(0)
  expect(exitOfSecretRun({ ...at, state: 'completed' }, { wanted: ['completed'], remains: true })).toBe(3)
})

const none = { missing: [] }
const one = { missing: [{ keyId: 'aaaqeaye', table: 'public.users', column: 'token' }] }
test.each([
  [{ failedCount: 0, setAside: 0, other: 0, fences: none }, 0],
  [{ failedCount: 0, setAside: 0, other: 5, fences: none }, 3],
  [{ failedCount: 2, setAside: 2, other: 0, fences: none }, 3],
  [{ failedCount: 3, setAside: 2, other: 5, fences: none }, 1],
  [{ failedCount: 0, setAside: 0, other: 0, fences: one }, 1],
])('a verification that found %o is %i', (found, code) => {
  expect(exitOfVerification(found)).toBe(code)
})

test('what was interrupted and can be begun again is 4', () => {
  for (const attempted of [false, true]) expect(exitOfError(fail('ERR_INTERRUPTED', 'retiring'), attempted)).toBe(4)
})
