import { createHash, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { isStoredHash, storedToken, tokenForms, tokenHash, tokenMatches } from './token-hash.ts'

const token = randomBytes(32).toString('hex')
const hash = createHash('sha256').update(token).digest('hex')

test('a token is hashed as the text that stands in the link, and what is stored says that it is a hash', () => {
  expect(tokenHash(token)).toBe(hash)
  expect(storedToken(token)).toBe(`sha256:${hash}`)
  expect(tokenHash('ü')).toBe(
    createHash('sha256')
      .update(Buffer.from([0xc3, 0xbc]))
      .digest('hex'),
  )
  expect([storedToken(token), token, hash, `sha256:${hash.toUpperCase()}`, `sha256:${hash}\n`].map(isStoredHash)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ])
})

test('the empty text is no token: everybody knows its hash', () => {
  for (const empty of ['', undefined, null]) {
    expect(() => tokenHash(empty as string)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
    expect(tokenMatches(createHash('sha256').update('').digest('hex'), empty as string)).toBe(false)
  }
})

test('a token is looked up in both forms until every row is hashed, then in one', () => {
  expect(tokenForms(token)).toEqual([`sha256:${hash}`, token])
  expect(tokenForms(token, { plain: false })).toEqual([`sha256:${hash}`])
  const others = [
    randomBytes(32).toString('base64'),
    randomBytes(16).toString('base64url'),
    '3f2b8c1e-5d4a-4f6b-9c7d-8e9fa0b1c2d3',
    'a.b.c~_-+/=',
    'shared-1',
  ]
  for (const other of others) expect(tokenForms(other)).toEqual([storedToken(other), other])
})

test('Invariant: nobody gets in with a hash that stands in the database.', () => {
  const stolen = storedToken(token)
  expect(tokenForms(stolen)).not.toContain(stolen)
  expect(tokenMatches(stolen, stolen)).toBe(false)
  expect(tokenMatches(stolen, hash)).toBe(false)
  // Columns that compare without case, blanks, accents, widths or punctuation take these for the hash.
  const bare = stolen.slice(7)
  for (const spelling of [
    stolen.toUpperCase(),
    `${stolen} `,
    `\t${stolen}`,
    `sha256${bare}`,
    `SHA-256:${bare}`,
    stolen.replace('s', '\u017f'),
    stolen.replace('a', 'ａ'),
    stolen.replace('2', '٢'),
    stolen.replace(':', ':\u200b'),
    stolen.replace('h', 'h\u0301'),
  ])
    expect(tokenForms(spelling)).toEqual([storedToken(spelling)])
})

test('a marked and a bare hash match their token and no other, and what is no hash matches nothing', () => {
  for (const stored of [storedToken(token), hash]) {
    expect(tokenMatches(stored, token)).toBe(true)
    expect(tokenMatches(stored, `${token} `)).toBe(false)
  }
  for (const stored of ['', token.slice(1), `sha256:${token}x`, hash.toUpperCase(), 'ü'.repeat(64)])
    expect(tokenMatches(stored, token)).toBe(false)
})
