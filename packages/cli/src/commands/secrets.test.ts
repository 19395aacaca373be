import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { type CommandOptions, type CommandRun, createFolder, runCommand } from '../../../../test/harness/command.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { accepted } from '../../../../test/secrets/parts/asked-issuer.ts'
import { issue, issuerOf } from '../../../../test/secrets/parts/issuer.ts'

const database = useDatabase()
const ROOT = '5e'.repeat(32)
let printed = ''

/** Parts of the tests, which the command finds from the folder it is started in. */
const parts = './test/secrets/parts'
const issuer = { rotator: `${parts}/issuer.ts`, id: 'command' }
const asked = { rotator: `${parts}/asked-issuer.ts` }

/** A folder with a configuration and the `.env` file of its application. */
async function application(secrets: (envFile: string) => object): Promise<CommandOptions & { readonly cwd: string }> {
  const cwd = await createFolder({ 'app.env': '# kept\nPORT=80\n' })
  const config = {
    database: { env: 'DATABASE_URL' },
    keyrings: { app: { root: { env: 'ROOT' } } },
    fields: { 'keyturn.sealed': { column: 'keyturn.sealed.value', keyring: 'app', bind: ['id'] } },
    secrets: secrets(join(cwd, 'app.env')),
  }
  await writeFile(join(cwd, 'keyturn.config.json'), JSON.stringify(config))
  return { cwd, env: { ROOT, DATABASE_URL: database.url } }
}

async function keyturn(argv: readonly string[], options: CommandOptions): Promise<CommandRun> {
  const run = await runCommand(argv, options)
  printed += run.stdout + run.stderr
  if (argv.includes('--json')) expect(run.stdout, 'one line of JSON').toMatch(/^\{[^\n]*\}\n$/)
  return run
}
const json = async (argv: readonly string[], options: CommandOptions) => {
  const { code, stdout } = await keyturn([...argv, '--json'], options)
  return { code, data: JSON.parse(stdout) }
}
const stored = (path: string) => [{ store: 'env-file', path, values: { API_KEY: '{value}' } }]
const valueIn = async ({ cwd }: { readonly cwd: string }) => /^API_KEY=(.*)$/m.exec(await readFile(join(cwd, 'app.env'), 'utf8'))?.[1]

beforeEach(async () => {
  await database.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE')
  issuerOf('command').clear()
  accepted.clear()
})
const values = new Set<string>()
afterAll(() => {
  expect(printed.length).toBeGreaterThan(1000)
  for (const value of values) expect(printed.includes(value), 'a value was printed').toBe(false)
})

test('a secret is rotated in its grace, ended by hand, compared with its store, and mended after a leak.', async () => {
  const old = issue('command', null)
  const app = await application((path) => ({
    key: { rotator: issuer, first: { value: { env: 'OLD' } }, stores: stored(path), every: '90d', owner: 'web', risk: 'high' },
  }))
  const options = { ...app, env: { ...app.env, OLD: old.value } }
  expect(await keyturn(['secrets', 'list'], options)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('"keyturn init" makes them'),
  })
  expect((await keyturn(['init'], options)).code).toBe(0)
  expect((await keyturn(['secrets', 'list'], options)).stdout).toMatch(/1 secret, 1 overdue[\s\S]*key +web +high .* never +overdue/)
  expect(await json(['secrets', 'plan', 'key'], options)).toMatchObject({
    code: 0,
    data: { plans: [{ secret: 'key', hasOld: true, findings: [{ severity: 'warning' }] }] },
  })
  expect((await database.pool.query('SELECT FROM keyturn.secret')).rowCount, 'looking changes nothing').toBe(0)

  // Ctrl-C ends a wait that is longer than anybody has patience for.
  let pressed = false
  const watch = (stderr: string, interrupt: () => void) => {
    if (pressed || !stderr.includes('now  grace: ')) return
    pressed = true
    interrupt()
  }
  const rotated = await keyturn(['secrets', 'rotate', 'key', '--wait', '24h'], { ...options, watch })
  expect(rotated).toMatchObject({ code: 0, stderr: expect.stringContaining('done  write:promote: ') })
  expect(rotated.stdout).toMatch(/has its new credential in use[\s\S]*keyturn serve[\s\S]*keyturn secrets resume run_/)
  const value = String(await valueIn(app))
  values.add(value).add(old.value)
  expect([...issuerOf('command').values()].map((each) => each.value).sort()).toEqual([value, old.value].sort())
  expect(await keyturn(['secrets', 'rotate', 'key'], options)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('[ERR_RUN_RUNNING]'),
  })
  expect(await keyturn(['secrets', 'revoke', 'key'], options)).toMatchObject({ code: 2, stderr: expect.stringContaining('give --yes') })
  const wrong = await keyturn(['secrets', 'revoke', 'key'], { ...options, isTTY: true, stdin: 'no\n' })
  expect(wrong).toMatchObject({ code: 2, stdout: 'Nothing was changed.\n' })
  expect(await json(['secrets', 'revoke', 'key', '--yes'], options)).toMatchObject({ code: 0, data: { state: 'completed', secret: 'key' } })
  expect([...issuerOf('command').values()].map((each) => each.value)).toEqual([value])
  expect((await keyturn(['secrets', 'history', 'key'], options)).stdout).toMatch(/completed[\s\S]*gates:promote[\s\S]*confirm +done/)

  expect((await keyturn(['secrets', 'sync'], options)).code).toBe(0)
  await writeFile(join(app.cwd, 'app.env'), 'API_KEY=other\n')
  const drift = await json(['secrets', 'sync'], options)
  expect(drift).toMatchObject({
    code: 3,
    data: { applied: false, drift: [{ name: 'API_KEY', state: 'differs', found: expect.stringMatching(/^[0-9a-f]{8}$/) }] },
  })
  expect(await valueIn(app)).toBe('other')
  expect((await keyturn(['secrets', 'sync', 'key', '--apply'], options)).code).toBe(0)
  expect(await valueIn(app)).toBe(value)

  const leak = await keyturn(['leak', 'key'], options)
  expect([leak.code, leak.stdout]).toEqual([3, expect.stringContaining('keyturn secrets rotate key --leaked')])
  expect(await json(['secrets', 'rotate', 'key', '--leaked'], options)).toMatchObject({
    code: 0,
    data: { state: 'completed', leaked: true },
  })
  values.add(String(await valueIn(app)))
  expect(await json(['leak', 'secret/key'], options)).toMatchObject({ code: 0, data: { exposed: [], mends: [] } })
  expect(await json(['leak', 'app'], options)).toMatchObject({ code: 3, data: { subject: { kind: 'key', keyring: 'app' } } })
  const runbook = await keyturn(['secrets', 'runbook', 'key'], options)
  expect([runbook.code, runbook.stdout]).toEqual([
    0,
    expect.stringMatching(/^# Runbook of the secrets\n[\s\S]*\n\| key \| web \| high \| env-file \| 90d /),
  ])
})

test('what a person makes is asked for, read from standard input, and asked for again when it does not work.', async () => {
  accepted.add('key-old')
  const app = await application((path) => ({ key: { rotator: asked, first: { value: { env: 'OLD' } }, stores: stored(path) } }))
  const options = { ...app, env: { ...app.env, OLD: 'key-old' } }
  await keyturn(['init'], options)
  const waiting = await keyturn(['secrets', 'rotate', 'key'], options)
  expect([waiting.code, waiting.stdout]).toEqual([
    4,
    expect.stringMatching(/Make a key by hand[\s\S]*Choose \*\*Create\*\*[\s\S]*keyturn secrets provide run_/),
  ])
  const odd = await keyturn(['secrets', 'provide', 'key'], { ...options, stdin: 'of-another-form\n' })
  expect(odd).toMatchObject({ code: 2, stderr: expect.stringContaining('[ERR_PROVIDED]') })
  values.add('of-another-form').add('key-wrong').add('key-right').add('key-old')
  // A terminal is asked, and does not show it.
  const shown = await keyturn(['secrets', 'provide', 'key'], { ...options, isTTY: true, stdin: 'key-wrong\n' })
  expect([shown.code, shown.stderr]).toEqual([4, expect.stringContaining('key: \n')])
  accepted.add('key-right')
  const right = await keyturn(['secrets', 'provide', 'key'], { ...options, stdin: 'key-right\n' })
  expect([right.code, await valueIn(app)]).toEqual([0, 'key-right'])

  expect(await keyturn(['secrets', 'rollback', 'key', '--yes'], options)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('is back at'),
  })
  expect([await valueIn(app), [...accepted]]).toEqual(['key-old', ['key-old']])
  await keyturn(['secrets', 'rotate', 'key'], options)
  expect(await json(['secrets', 'cancel', 'key'], options)).toMatchObject({ code: 0, data: { state: 'cancelled' } })
  expect(await keyturn(['secrets', 'resume', 'key'], options)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no run that is not over'),
  })
})

test('several parts are an object or lines in a given order, and an unknown credential from before remains.', async () => {
  const app = await application((path) => ({ key: { rotator: { ...asked, account: true }, stores: stored(path) } }))
  await keyturn(['init'], app)
  await keyturn(['secrets', 'rotate', 'key'], app)
  values.add('key-first').add('key-second')
  accepted.add('key-first').add('key-second')
  expect((await keyturn(['secrets', 'provide', 'key'], { ...app, stdin: 'key-first' })).stderr).toContain('a JSON object of texts')
  const given = { ...app, stdin: JSON.stringify({ value: 'key-first', account: 'ops' }) }
  const first = await keyturn(['secrets', 'provide', 'key'], given)
  expect([first.code, first.stdout]).toEqual([3, expect.stringContaining('end it at its issuer')])
  await keyturn(['secrets', 'rotate', 'key', '--leaked'], app)
  const lines = ['secrets', 'provide', 'key', '--part', 'account', '--part', 'value']
  expect((await keyturn(lines, { ...app, stdin: 'ops\nkey-second\n' })).code).toBe(0)
  expect([await valueIn(app), [...accepted]]).toEqual(['key-second', ['key-second']])
})

test('attend begins what is due by itself, goes on with what waits, and says when somebody is needed.', async () => {
  const app = await application((path) => ({
    random: { rotator: issuer, stores: stored(path), every: '90d', automatic: true },
    manual: { rotator: asked, every: '90d' },
  }))
  await keyturn(['init'], app)
  expect(await json(['secrets', 'attend'], app)).toMatchObject({
    code: 0,
    data: { begun: [expect.any(String)], runs: [{ secret: 'random', state: 'completed' }] },
  })
  values.add(String(await valueIn(app)))
  expect((await keyturn(['secrets', 'attend'], app)).stdout).toBe('Nothing was due.\n')
  await keyturn(['secrets', 'rotate', 'manual', '--leaked'], app)
  expect((await keyturn(['secrets', 'list'], app)).stdout).toMatch(/waiting at task[\s\S]*Trouble\n {2}manual: leak, task/)
})

test('a plan with a fault is refused with its place, and so is what the configuration does not know.', async () => {
  const app = await application(() => ({ value: { rotator: { rotator: 'random' } } }))
  await keyturn(['init'], app)
  const plan = await keyturn(['secrets', 'plan'], app)
  expect([plan.code, plan.stdout]).toEqual([
    2,
    expect.stringMatching(/Faults: it cannot be rotated\n {2}secrets\.value\.gates: nobody could verify it/),
  ])
  expect(await keyturn(['secrets', 'rotate', 'value'], app)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('[ERR_SECRET_PLAN]'),
  })
  for (const argv of [
    ['secrets', 'rotate', 'valu'],
    ['secrets', 'sync', 'valu', '--apply'],
    ['leak', 'valu'],
  ])
    expect(await keyturn(argv, app)).toMatchObject({ code: 2, stderr: expect.stringContaining('Did you mean "value"?') })
  expect((await keyturn(['secrets', 'rotate', 'value', '--wait', 'long'], app)).stderr).toContain('--wait must be a period')
  expect((await keyturn(['leak', 'app', '--since', '2026-01-01'], app)).stderr).toContain('--since goes with a secret')
  await writeFile(join(app.cwd, 'keyturn.config.json'), JSON.stringify({ keyrings: { app: { root: { env: 'ROOT' } } }, fields: {} }))
  const none = await keyturn(['secrets', 'list', '--database', 'env:DATABASE_URL'], app)
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('the configuration has no "secrets"') })
})
