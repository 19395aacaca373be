import * as argon2 from '@node-rs/argon2'
import { beforeEach, expect, test, vi } from 'vitest'
import { assertPassword, isOutdated, openPasswords, type Passwords } from './password.ts'

// The work is done as ever; it is only counted.
vi.mock('@node-rs/argon2', async (original) => {
  const real = await original<typeof argon2>()
  return { ...real, verify: vi.fn(real.verify) }
})

let passwords: Passwords
beforeEach(async () => {
  passwords = await openPasswords()
  vi.mocked(argon2.verify).mockClear()
})
const right = 'correct horse battery'

test.each([
  ['11 characters', 'elevenchars', 'it needs at least 12 characters'],
  ['11 characters of two code units each', '🐎'.repeat(11), 'it needs at least 12 characters'],
  ['more than 256 bytes', 'é'.repeat(129), 'it may have at most 256 bytes'],
  ['the name', 'Ada.Lovelace', 'it must not be the name'],
  ['half a character', `${right}\ud83d`, 'it is not well-formed text'],
])('a password of %s is refused with a sentence that does not repeat it', (_, password, why) => {
  const refused = () => assertPassword(password, 'ada.lovelace')
  expect(refused).toThrow(expect.objectContaining({ code: 'ERR_INPUT', statusCode: 400, field: '/password' }))
  expect(refused).toThrow(why)
  expect(refused).not.toThrow(password)
})

test.each(['twelve chars', '🐎'.repeat(12), 'é'.repeat(128), '            '])(
  'a password of 12 characters and of 256 bytes is taken: %s',
  (password) => {
    expect(() => assertPassword(password, 'ada')).not.toThrow()
  },
)

test('a password is kept as argon2id with the parameters that OWASP advises', async () => {
  const hashed = await passwords.hash(right)
  expect(hashed).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(isOutdated(hashed)).toBe(false)
  expect(isOutdated(await argon2.hash(right, { memoryCost: 8192, timeCost: 2, parallelism: 1 }))).toBe(true)
  expect(await passwords.hash(right)).not.toBe(hashed)
})

test('the password holds, another does not, and both ways to write é are one', async () => {
  const hashed = await passwords.hash('caf\u00e9 caf\u00e9 caf\u00e9')
  expect(await passwords.holds('cafe\u0301 cafe\u0301 cafe\u0301', hashed, false)).toBe(true)
  expect(await passwords.holds('cafe cafe cafe', hashed, false)).toBe(false)
  expect(await passwords.holds('cafe cafe cafe', hashed, true)).toBe(false)
})

test('for a name that there is not the same work is done, and nothing holds', async () => {
  const parametersOf = (call: readonly unknown[] | undefined) => String(call?.[0]).split('$').slice(0, 4)
  expect(await passwords.holds(right, await passwords.hash(right), false)).toBe(true)
  expect(await passwords.holds('the password of nobody', null, false)).toBe(false)
  const { calls } = vi.mocked(argon2.verify).mock
  expect(calls).toHaveLength(2)
  expect(parametersOf(calls[1])).toEqual(parametersOf(calls[0]))
})

test('what is no hash holds for nothing', async () => {
  for (const stored of ['', 'x', right]) expect(await passwords.holds(right, stored, false)).toBe(false)
})

test('strangers wait in a line of a bounded length, and browsers that are known in another', async () => {
  const hashed = await passwords.hash(right)
  const strangers = Array.from({ length: 60 }, () =>
    passwords.holds('a wrong guess of somebody', hashed, false).catch((error) => error.code),
  )
  const known = passwords.holds(right, hashed, true).then((held) => ({ held, asked: vi.mocked(argon2.verify).mock.calls.length }))
  const answers = await Promise.all(strangers)
  expect(answers.filter((answer) => answer === 'ERR_RATE_LIMITED')).toHaveLength(60 - 33)
  expect(answers.filter((answer) => answer === false)).toHaveLength(33)
  // It was looked at before the line of strangers was through.
  const { held, asked } = await known
  expect(held).toBe(true)
  expect(asked).toBeLessThan(33)
  // The line is empty again.
  expect(await passwords.holds(right, hashed, false)).toBe(true)
})
