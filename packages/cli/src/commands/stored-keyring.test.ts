import { expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { env, keyturn, useUsers } from '../../../../test/harness/users.ts'

const { database, values, fill } = useUsers()

test('--to moves values to a stored keyring', async () => {
  await fill(30)
  const cwd = await createFolder({
    'keyturn.config.json': JSON.stringify({ refreshMs: 50, keyrings: { app: { root: { env: 'ROOT_KEY' } } }, fields: {} }),
  })
  const to = [
    '--database',
    database.url,
    '--field',
    'users.token',
    '--format',
    'hex-colon',
    '--key-rule',
    'hex',
    '--old-env',
    'OLD_KEY',
    '--to',
    'app',
    '--bind',
    'id',
  ]
  const planned = await keyturn(['plan', ...to], { cwd })
  expect([planned.code, planned.stdout]).toEqual([0, expect.stringMatching(/hex-colon → kt1 +id /)])
  const moved = await keyturn(['rotate', ...to, '--yes', '--max'], { cwd })
  expect([moved.code, moved.stderr]).toEqual([0, expect.stringContaining('note: declare "users.token" in the configuration')])
  for (const token of await values()) expect(token).toMatch(/^kt1\./)
  expect((await keyturn(['verify', ...to], { cwd })).code).toBe(0)
})

test('a configuration with a stored keyring: from init to verify, then a root key beside it', async () => {
  await fill(50)
  const config = {
    database: { env: 'DATABASE_URL' },
    refreshMs: 50,
    keyrings: { app: { root: { env: 'ROOT_KEY' } } },
    fields: {
      'users.token': {
        column: 'users.token',
        keyring: 'app',
        bind: ['id'],
        reads: [{ codec: 'hex-colon', key: { env: 'OLD_KEY' }, keyRule: 'hex' }],
      },
    },
  }
  const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
  const options = { cwd, env: { ...env, DATABASE_URL: database.url } }
  for (const verb of ['plan', 'status', 'verify', 'doctor']) await keyturn([verb], options)
  expect((await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount, 'looking changes nothing').toBe(0)
  expect((await keyturn(['init'], options)).stdout).toContain('Schema "keyturn" is ready.')
  expect((await keyturn(['plan'], options)).code).toBe(0)
  expect((await database.pool.query('SELECT FROM keyturn.keyring')).rowCount, 'looking makes no key').toBe(0)
  const rotated = await keyturn(['rotate', 'app', '--yes', '--max', '--json'], options)
  expect([rotated.code, JSON.parse(rotated.stdout)]).toEqual([0, expect.objectContaining({ state: 'completed', rotated: 50 })])
  for (const token of await values()) expect(token).toMatch(/^kt1\./)
  expect((await keyturn(['verify'], options)).code).toBe(0)
  const status = await keyturn(['status', 'app'], options)
  expect([status.code, status.stdout]).toEqual([0, expect.stringContaining('Keyring "app" (stored, revision ')])
  const doctor = await keyturn(['doctor'], options)
  expect([doctor.code, doctor.stdout]).toEqual([0, expect.stringMatching(/^ok {4}keyring "app": opens/m)])
  const roots = { ...config, keyrings: { app: { root: [{ env: 'OTHER_KEY' }, { env: 'ROOT_KEY' }] } } }
  const next = { ...options, cwd: await createFolder({ 'keyturn.config.json': JSON.stringify(roots) }) }
  const rewrapped = await keyturn(['rewrap', '--json'], next)
  expect([rewrapped.code, JSON.parse(rewrapped.stdout)]).toEqual([
    0,
    expect.objectContaining({ dropped: 0, roots: expect.arrayContaining([expect.any(String)]) }),
  ])
  expect((await keyturn(['rotate', 'ap', '--yes'], options)).stderr).toContain('there is no keyring named "ap". Did you mean "app"?')
})
