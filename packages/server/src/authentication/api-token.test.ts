import { expect, test } from 'vitest'
import { drawToken, isToken } from './api-token.ts'

test('a token has 52 characters, a prefix that scanners know, and a check', () => {
  const tokens = Array.from({ length: 100 }, drawToken)
  expect(new Set(tokens).size).toBe(100)
  for (const token of tokens) {
    expect(token).toMatch(/^kt_[A-Za-z0-9_-]{49}$/)
    expect(isToken(token)).toBe(true)
  }
})

test('a token with one character changed, left out or added is recognised as mistyped', () => {
  const token = drawToken()
  for (const at of Array(token.length).keys()) {
    const other = token[at] === 'x' ? 'y' : 'x'
    expect(isToken(token.slice(0, at) + other + token.slice(at + 1))).toBe(false)
    expect(isToken(token.slice(0, at) + token.slice(at + 1))).toBe(false)
  }
  expect(isToken(`${token}\n`)).toBe(false)
  expect(isToken(` ${token}`)).toBe(false)
  expect(isToken(`${token}x`)).toBe(false)
})
