import { expect, test } from 'vitest'
import { callOf } from '../../../../test/harness/parts.ts'
import random, { options } from './random.ts'

const propose = async (shape: object) => (await random(options.parse(shape)).propose!(callOf(), null)).parts.value ?? ''

test('a value has the form that was asked for, on one line, and is another one each time.', async () => {
  expect(await propose({ format: 'hex', bytes: 20 })).toMatch(/^[0-9a-f]{40}$/)
  expect(await propose({ format: 'base64', bytes: 64 })).toMatch(/^[A-Za-z0-9+/]{86}==$/)
  expect(await propose({})).toMatch(/^[\w-]{43}$/)
  expect(await propose({ format: 'chars', length: 50 })).toMatch(/^[A-Za-z0-9]{50}$/)
  expect(await propose({})).not.toBe(await propose({}))
})

test('what is chosen is what is made, however often, and nothing is revoked.', async () => {
  const rotator = random(options.parse({}))
  expect(rotator).toMatchObject({ overlap: true, issuer: false })
  const next = await rotator.propose!(callOf(), null)
  for (const _ of [1, 2]) expect(await rotator.create(callOf(), next, null)).toEqual(next)
  for (const _ of [1, 2]) await rotator.revoke(callOf(), next, null)
  expect(await rotator.verify(callOf(), next)).toMatchObject({ works: true })
})

test('a value with a line break is refused, as that of openssl rand -base64 64 has one.', async () => {
  const rotator = random(options.parse({}))
  for (const value of [`${'a'.repeat(64)}\n${'b'.repeat(22)}==`, 'a\r', 'a\u2028b', '']) {
    const given = { id: null, parts: { value } }
    expect(await rotator.verify(callOf(), given)).toMatchObject({ works: false, later: false })
    await expect(rotator.create(callOf(), given, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  }
  await expect(rotator.create(callOf(), null, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
})

test('options that cannot work are refused.', () => {
  for (const bad of [
    { bytes: 8 },
    { format: 'chars', bytes: 32 },
    { format: 'hex', length: 32 },
    { format: 'chars', length: 8 },
    { format: 'words' },
  ])
    expect(options.safeParse(bad).success, JSON.stringify(bad)).toBe(false)
})
