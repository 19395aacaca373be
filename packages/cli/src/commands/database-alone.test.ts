import { expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { env, keyturn, useUsers } from '../../../../test/harness/users.ts'

const { database, where, fill } = useUsers()
const alone = () => ['--database', database.url]

/** Starts a rotation by flags and pauses it. @returns its id */
async function paused(): Promise<string> {
  let pressed = false
  const { code, stdout } = await keyturn(['rotate', ...where(), '--yes', '--rate', '100', '--json'], {
    watch: (stderr, interrupt) => {
      if (pressed || !stderr.includes('rewriting: ')) return
      pressed = true
      interrupt()
    },
  })
  expect(code).toBe(4)
  return (JSON.parse(stdout) as { id: string }).id
}

test('the address of the database is enough to see its rotations and to cancel the unfinished one', async () => {
  await fill(300)
  const empty = await keyturn(['status', ...alone()], { env: {} })
  expect([empty.code, empty.stdout]).toEqual([0, 'There are no keyrings.\n\nRotations\n  none\n'])
  for (const verb of ['cancel', 'release']) expect((await keyturn([verb, ...alone()])).code).toBe(2)
  expect((await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount).toBe(0)
  const id = await paused()
  const status = await keyturn(['status', ...alone()], { env: {} })
  expect(status.stdout).toContain(`Rotations\n  ${id}  command  online  paused`)
  const cancelled = await keyturn(['cancel', ...alone()], { env: {} })
  expect([cancelled.code, cancelled.stdout]).toEqual([0, `Rotation ${id} is cancelled; every value stays readable.\n`])
  expect((await keyturn(['cancel', ...alone()])).stderr).toContain('there is no unfinished rotation')
})

test('a rotation by flags is found beside a configuration that does not know it and has no key', async () => {
  await fill(300)
  const id = await paused()
  const config = { keyrings: { other: { root: { env: 'NOT_SET' } } }, fields: {} }
  const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
  const cancelled = await keyturn(['cancel', ...alone()], { cwd })
  expect([cancelled.code, cancelled.stdout]).toEqual([0, expect.stringContaining(`Rotation ${id} is cancelled`)])
  expect((await database.pool.query('SELECT FROM keyturn.keyring')).rowCount).toBe(0)
})

test('resume without an id goes on with the only unfinished rotation, and refuses one of several', async () => {
  await fill(300)
  const id = await paused()
  expect((await keyturn(['resume', 'nosuch', ...where(), '--yes'])).stderr).toContain('there is no rotation named "nosuch"')
  const { rows } = await database.pool.query<{ id: string }>('SELECT id FROM keyturn.rotation')
  expect(rows).toEqual([{ id }])
  const resumed = await keyturn(['resume', ...where(), '--yes', '--max', '--json'])
  expect([resumed.code, JSON.parse(resumed.stdout)]).toEqual([0, expect.objectContaining({ id, state: 'completed' })])
  const again = await keyturn(['resume', id, ...where(), '--yes'])
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('[ERR_ROTATION_STATE]')])
})

test('release without an id, by the name of a variable, and what it says comes next', async () => {
  await fill(5)
  const named = { env: { ...env, DATABASE_URL: database.url } }
  const [, , ...flags] = where()
  const held = await keyturn(['rotate', '--database', 'env:DATABASE_URL', ...flags, '--yes', '--mode', 'transaction'], named)
  expect(held.stdout).toMatch(
    /2\. keyturn release \S+ --database env:DATABASE_URL\n {2}3\. keyturn verify --database env:DATABASE_URL --field/,
  )
  const released = await keyturn(['release', '--database', 'env:DATABASE_URL'], { env: { DATABASE_URL: database.url } })
  expect([released.code, released.stdout]).toEqual([
    0,
    'Released: public.users.\nNext: keyturn verify --database env:DATABASE_URL --field … --format … --old-env … --new-env …\n',
  ])
})
