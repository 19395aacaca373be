import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { env, keyturn, useUsers } from '../../../../test/harness/users.ts'

const { database, values, fill, where } = useUsers()
const config = {
  database: { env: 'DATABASE_URL' },
  refreshMs: 50,
  keyrings: { app: { root: { env: 'ROOT_KEY' } }, other: { root: { env: 'ROOT_KEY' } } },
  fields: {
    'users.token': { column: 'users.token', keyring: 'app', reads: [{ codec: 'hex-colon', key: { env: 'OLD_KEY' }, keyRule: 'hex' }] },
  },
}
let cwd = ''
const run = (line: string) => keyturn(line.split(' '), { cwd, env: { ...env, DATABASE_URL: database.url } })
const hasSchema = async () => (await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount === 1

beforeEach(async () => {
  await fill(10)
  cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
})

test('a plan goes to a new file, and a rotation that is held to it needs nothing else', async () => {
  const planned = await run('plan app --out rotation.plan')
  expect([planned.code, planned.stdout]).toEqual([0, expect.stringMatching(/Nothing was changed\.\nWrote \S+rotation\.plan; /)])
  const again = await run('plan app --out rotation.plan')
  expect([again.code, again.stdout, again.stderr]).toEqual([2, '', expect.stringContaining('Name one that is not there yet')])
  const rotated = await run('rotate --plan rotation.plan --yes --max')
  expect([rotated.code, rotated.stdout]).toEqual([0, expect.stringContaining('10 rows re-encrypted')])
  for (const value of await values()) expect(value).toMatch(/^kt1\./)
})

test('a plan whose facts changed is refused with the fact, and nothing is made or changed', async () => {
  await run('plan app --out rotation.plan')
  await database.pool.query('ALTER TABLE users ALTER token SET NOT NULL')
  const before = await values()
  const { code, stdout, stderr } = await run('rotate --plan rotation.plan --yes --max')
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining('column "token"')])
  expect(stderr).toContain('[ERR_PLAN_CHANGED]')
  expect([await values(), await hasSchema()]).toEqual([before, false])
})

test('a plan that was edited, that is none, or that is for another mode is refused', async () => {
  await run('plan app --out rotation.plan')
  const text = await readFile(join(cwd, 'rotation.plan'), 'utf8')
  await writeFile(join(cwd, 'edited.plan'), text.replace('"online"', '"transaction"'))
  await writeFile(join(cwd, 'none.plan'), '{}')
  for (const [line, error] of [
    ['rotate --plan edited.plan --yes', 'ERR_PLAN'],
    ['rotate --plan none.plan --yes', 'ERR_PLAN'],
    ['rotate --plan nowhere.plan --yes', 'ERR_USAGE'],
    ['rotate --plan rotation.plan --mode transaction --yes', 'ERR_PLAN_CHANGED'],
    ['rotate other --plan rotation.plan --yes', 'ERR_'],
  ] as const) {
    const { code, stderr } = await run(line)
    expect([code, stderr]).toEqual([2, expect.stringContaining(`[${error}`)])
  }
  expect(await hasSchema()).toBe(false)
})

test('by flags the same keys are needed that the plan was made with', async () => {
  const planned = await keyturn(['plan', ...where(), '--out', 'rotation.plan'], { cwd })
  expect(planned.code).toBe(0)
  const other = where().map((word) => (word === 'NEW_KEY' ? 'OTHER_KEY' : word))
  const refused = await keyturn(['rotate', ...other, '--plan', 'rotation.plan', '--yes'], { cwd })
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('keys of the environment are others')])
  expect((await keyturn(['rotate', ...where(), '--plan', 'rotation.plan', '--yes'], { cwd })).code).toBe(0)
})
