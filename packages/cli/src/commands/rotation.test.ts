import { expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import { env, keyturn, NEW, OLD, OTHER, seal, secrets, useUsers } from '../../../../test/harness/users.ts'

const { database, where, values, fill, opened } = useUsers()

test('plan shows what would be done, and changes nothing', async () => {
  await fill(20)
  const before = await values()
  const { code, stdout } = await keyturn(['plan', ...where()])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^Plan: keyring "command", mode \w+, about 20 values/)
  expect(stdout).toMatch(/users\.token +public\.users\.token +hex-colon → hex-colon/)
  const json = await keyturn(['plan', ...where(), '--json'])
  expect(JSON.parse(json.stdout)).toMatchObject({ keyring: 'command', values: 20 })
  expect(await values()).toEqual(before)
  expect((await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount).toBe(0)
})

test('rotate asks, and does nothing where nobody can answer or the answer is no', async () => {
  await fill(5)
  const before = await values()
  const alone = await keyturn(['rotate', ...where()])
  expect([alone.code, alone.stderr]).toEqual([2, expect.stringContaining('nobody can be asked here')])
  for (const stdin of ['n\n', '\n', '']) {
    const { code, stdout, stderr } = await keyturn(['rotate', ...where()], { isTTY: true, stdin })
    expect([code, stdout]).toEqual([2, 'Nothing was changed.\n'])
    expect(stderr).toContain('Plan: keyring "command"')
  }
  expect(await values()).toEqual(before)
  expect((await database.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount).toBe(0)
  const { code, stdout } = await keyturn(['rotate', ...where(), '--max'], { isTTY: true, stdin: 'y\n' })
  expect([code, stdout]).toEqual([0, expect.stringContaining('5 rows re-encrypted')])
})

test('rotate rewrites every value under the new key, once, and verify agrees', async () => {
  await fill(300)
  const first = await keyturn(['rotate', ...where(), '--yes', '--max'])
  expect([first.code, first.stdout]).toEqual([0, expect.stringContaining('300 rows re-encrypted across 1 table.')])
  expect(first.stderr).toContain('rewriting: ')
  expect(new Set(await opened(NEW))).toEqual(new Set([true]))
  const after = await values()
  const second = await keyturn(['rotate', ...where(), '--yes', '--json'])
  expect(second.code).toBe(0)
  expect(JSON.parse(second.stdout)).toMatchObject({
    state: 'completed',
    total: 300,
    rotated: 0,
    skipped: 300,
    failed: [],
    failedCount: 0,
  })
  expect(await values()).toEqual(after)
  const verified = await keyturn(['verify', ...where()])
  expect([verified.code, verified.stdout]).toEqual([0, expect.stringContaining('Every value is current.')])
})

test('keys that were exchanged change nothing, and both the plan and the result ask whether they were', async () => {
  await fill(20)
  const exchanged = where().map((word) => ({ OLD_KEY: 'NEW_KEY', NEW_KEY: 'OLD_KEY' })[word] ?? word)
  for (const mode of ['online', 'transaction']) {
    const plan = await keyturn(['plan', ...exchanged, '--mode', mode])
    expect([plan.code, plan.stdout]).toEqual([0, expect.stringContaining('were the old key and the new one exchanged?')])
  }
  const { code, stdout } = await keyturn(['rotate', ...exchanged, '--yes', '--max'])
  expect([code, stdout]).toEqual([0, expect.stringContaining('Nothing was changed. If that is a surprise: were the old key')])
  const right = await keyturn(['plan', ...where()])
  expect([right.code, right.stdout]).toEqual([0, expect.not.stringContaining('exchanged')])
})

test('a user who may not look into the schema of Keyturn is told which privilege is missing', async () => {
  await fill(5)
  expect((await keyturn(['rotate', ...where(), '--yes', '--max'])).code).toBe(0)
  const role = `poor_${process.pid}`
  await database.pool.query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'; GRANT SELECT, UPDATE ON users TO ${role}`)
  const address = new URL(database.url)
  address.username = role
  address.password = role
  const poor = where().map((word) => (word === database.url ? address.href : word))
  try {
    for (const argv of [
      ['status', '--database', address.href],
      ['plan', ...poor],
    ]) {
      const { code, stderr } = await keyturn(argv)
      expect([code, stderr]).toEqual([2, expect.stringContaining('lacks the privilege USAGE on schema "keyturn"')])
    }
  } finally {
    await database.pool.query(`REVOKE ALL ON users FROM ${role}; DROP ROLE ${role}`)
  }
})

test('keys of files and standard input are as good as those of the environment', async () => {
  await fill(10)
  const cwd = await createFolder({ old: `${OLD}\n` })
  const flags = [
    '--database',
    database.url,
    '--field',
    'users.token',
    '--format',
    'hex-colon',
    '--key-rule',
    'hex',
    '--old-file',
    'old',
    '--new-stdin',
  ]
  const { code } = await keyturn(['rotate', ...flags, '--yes', '--max'], { cwd, stdin: `${NEW}\n` })
  expect(code).toBe(0)
  expect(new Set(await opened(NEW))).toEqual(new Set([true]))
})

test('values that do not open are set aside and end with 3, also in verify; new damage ends with 1', async () => {
  await fill(30)
  await database.pool.query('UPDATE users SET token = $1 WHERE id = 7', [seal('marked-plaintext', OTHER)])
  const before = await values()
  const { code, stdout } = await keyturn(['rotate', ...where(), '--yes', '--max'])
  expect([code, stdout]).toEqual([3, expect.stringMatching(/Values that do not open\n {2}users\.token {2}id=7 {2}ERR_DECRYPT/)])
  expect((await values())[6]).toBe(before[6])
  expect((await keyturn(['verify', ...where()])).code).toBe(3)
  await database.pool.query('UPDATE users SET token = $1 WHERE id = 9', [seal('marked-plaintext', OTHER)])
  const faulty = await keyturn(['verify', ...where(), '--json'])
  expect([faulty.code, JSON.parse(faulty.stdout)]).toEqual([1, expect.objectContaining({ failedCount: 2, setAside: 1 })])
})

test('verify ends with 3 while values are under another key', async () => {
  await fill(5)
  const { code, stdout } = await keyturn(['verify', ...where()])
  expect([code, stdout]).toEqual([3, expect.stringContaining('5 under another key or format')])
})

test('a wrong old key, equal keys, a malformed key and unknown names are refused before anything is written', async () => {
  await fill(5)
  const before = await values()
  const flags = (old: string, fresh: string, field = 'users.token') => [
    '--database',
    database.url,
    '--field',
    field,
    '--format',
    'hex-colon',
    '--key-rule',
    'hex',
    '--old-env',
    old,
    '--new-env',
    fresh,
    '--yes',
  ]
  const cases: [string[], string][] = [
    [flags('OTHER_KEY', 'NEW_KEY'), '[ERR_SAMPLE]'],
    [flags('OLD_KEY', 'OLD_KEY'), '[ERR_SAME_KEY]'],
    [flags('OLD_KEY', 'NEW_KEY', 'user.token'), '[ERR_UNKNOWN_TABLE]'],
    [flags('OLD_KEY', 'NEW_KEY', 'users.tokens'), '[ERR_UNKNOWN_COLUMN]'],
    [flags('OLD_KEY', 'MISSING'), '[ERR_'],
    [flags('OLD_KEY', 'BAD'), '[ERR_KEY_FORMAT]'],
  ]
  secrets.add('marked-bad-key')
  for (const [argv, code] of cases) {
    const run = await keyturn(['rotate', ...argv], { env: { ...env, BAD: 'marked-bad-key' } })
    expect([run.code, run.stdout, run.stderr]).toEqual([2, '', expect.stringContaining(code)])
  }
  expect(await values()).toEqual(before)
})

test('a malformed key of standard input is named by its flag', async () => {
  await fill(1)
  secrets.add('marked-bad-key')
  const flags = [
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
    '--new-stdin',
    '--yes',
  ]
  const { code, stderr } = await keyturn(['rotate', ...flags], { stdin: 'marked-bad-key\n' })
  expect([code, stderr]).toEqual([2, expect.stringContaining('the key of --new-stdin is not a key by the rule "hex"')])
})

test('what the database says of a value is never shown', async () => {
  await fill(10)
  await database.pool.query(`CREATE OR REPLACE FUNCTION quote_it() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'marked-plaintext % %', NEW.token, OLD.token USING DETAIL = OLD.token; END $$`)
  await database.pool.query('CREATE TRIGGER quoting BEFORE UPDATE ON users FOR EACH ROW WHEN (OLD.id = 3) EXECUTE FUNCTION quote_it()')
  const { code } = await keyturn(['rotate', ...where(), '--yes', '--max'])
  expect([1, 3]).toContain(code)
  const transaction = await keyturn(['rotate', ...where(), '--yes', '--mode', 'transaction'])
  expect(transaction.code).not.toBe(0)
})

test.each([
  [['--app-stopped'], '--app-stopped goes with --mode transaction'],
  [['--mode', 'lazy'], '--mode must be online or transaction'],
  [['--rate', 'fast'], '--rate must be a whole number'],
  [['--rate', '5', '--max'], '--rate limits and --max does not'],
])('%j is refused', async (more, sentence) => {
  const { code, stderr } = await keyturn(['rotate', ...where(), '--yes', ...more])
  expect([code, stderr]).toEqual([2, expect.stringContaining(sentence)])
})
