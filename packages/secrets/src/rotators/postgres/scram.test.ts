import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { isOf, isScramVerifier, scramVerifier } from './scram.ts'

// RFC 7677, section 3.
const vector =
  'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='

test('the vector of RFC 7677.', async () => {
  expect(await scramVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'))).toBe(vector)
})

test('each has a salt of its own and is of its form, which texts that Postgres would take for a password are not.', async () => {
  const made = [await scramVerifier('pencil'), await scramVerifier('pencil')]
  expect(made[0]).not.toBe(made[1])
  expect([...made, vector].map(isScramVerifier)).toEqual([true, true, true])
  expect(['SCRAM-SHA-256$4096:notb64$x:y', vector.slice(0, -1), `${vector}\n`, 'pencil', ''].map(isScramVerifier)).toEqual(
    Array(5).fill(false),
  )
})

test('what the server keeps is known to be of a password, in both of its forms.', async () => {
  const md5 = `md5${createHash('md5').update('penciluser').digest('hex')}`
  expect(await isOf(vector, 'user', 'pencil')).toBe(true)
  expect(await isOf(vector, 'user', 'pencils')).toBe(false)
  expect(await isOf(md5, 'user', 'pencil')).toBe(true)
  expect(await isOf(md5, 'other', 'pencil')).toBe(false)
  expect(await isOf(null, 'user', 'pencil')).toBe(false)
})
