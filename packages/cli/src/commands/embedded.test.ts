import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { keyturn, seal } from '../../../../test/harness/users.ts'

test('the same from init to verify, and a second process is refused meanwhile', async () => {
  const cwd = await createFolder()
  expect((await keyturn(['init', '--database', 'pglite:state'], { cwd })).stdout).toContain('Schema "keyturn" is ready.')
  const made = await PGlite.create(join(cwd, 'state'))
  await made.exec('CREATE TABLE users (id int PRIMARY KEY, token text)')
  for (let id = 1; id <= 20; id++) await made.query('INSERT INTO users VALUES ($1, $2)', [id, seal(`marked-plaintext ${id}`)])
  await made.close()
  const flags = [
    '--database',
    'pglite:state',
    '--field',
    'users.token',
    '--format',
    'hex-colon',
    '--key-rule',
    'hex',
    '--old-env',
    'OLD_KEY',
    '--new-env',
    'NEW_KEY',
  ]
  const runs = await Promise.all([keyturn(['rotate', ...flags, '--yes', '--max'], { cwd }), keyturn(['status', ...flags], { cwd })])
  expect(runs.map(({ code }) => code).sort()).toEqual([0, 2])
  expect(runs.map(({ stderr }) => stderr).join('')).toContain('is in use by another process [ERR_STATE_IN_USE]')
  if (runs[0].code !== 0) expect((await keyturn(['rotate', ...flags, '--yes', '--max'], { cwd })).code).toBe(0)
  expect((await keyturn(['verify', ...flags], { cwd })).code).toBe(0)
  const { fields } = JSON.parse((await keyturn(['census', ...flags, '--json'], { cwd })).stdout)
  expect(fields).toMatchObject([{ total: 20, unreadable: 0, groups: [{ codec: 'hex-colon', values: 20, current: true }] }])
  expect((await keyturn(['audit', 'verify', '--database', 'pglite:state'], { cwd, env: {} })).code).toBe(0)
})
