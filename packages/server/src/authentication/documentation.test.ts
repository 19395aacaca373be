import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scopes } from './attempts.ts'
import { knownDays } from './browsers.ts'
import { leastCharacters, passwordBytes } from './password.ts'
import { sessionHours } from './sessions.ts'
import { linkHours } from './setup.ts'

const document = readFileSync(new URL('../../../../docs/authentication.md', import.meta.url), 'utf8')

test('docs/authentication.md names the limits that there are.', () => {
  const rows = document
    .split('\n')
    .map((line) => /\| (\d+) \| (\d+) s \| (\d+) h \|$/.exec(line))
    .filter((row) => row !== null)
    .map((row) => row.slice(1).map(Number))
  const { pair, address, account, browser, again } = scopes
  expect(rows).toEqual(
    [pair, address, account, browser, again].map(({ free, capSeconds, forgetSeconds }) => [free, capSeconds, forgetSeconds / 3600]),
  )
})

test.each([
  `at least ${leastCharacters} characters and at most ${passwordBytes} bytes`,
  `ends ${sessionHours.idle} hour after its last\n  request and ${sessionHours.life} hours after it began`,
  `It works once, for ${linkHours} hours`,
  `in the last ${knownDays} days`,
])('docs/authentication.md says: %s', (claim) => {
  expect(document).toContain(claim)
})
