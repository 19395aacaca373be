import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { startOnePassword } from './one-password.ts'
import { installOp } from './one-password-op.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-op-'))
const double = await startOnePassword()
const vault = double.createVault('Production')
const program = installOp(double, folder)
const api = { id: 'api', label: 'API' }
const item = double.createItem(vault, 'OpenAI', [
  { label: 'username', value: 'app', purpose: 'USERNAME' },
  { label: 'credential', value: 's3cret-value', type: 'CONCEALED', section: api },
])

afterAll(async () => {
  await double.stop()
  await rm(folder, { recursive: true })
})

async function op(args: readonly string[], token: string | undefined = double.token) {
  const env = { PATH: process.env.PATH, OP_SERVICE_ACCOUNT_TOKEN: token }
  const run = promisify(execFile)(program, args, { env })
  const { stdout, stderr, code } = await run.then(
    (output) => ({ ...output, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  )
  return { stdout, stderr, code }
}
const get = async () => JSON.parse((await op(['item', 'get', item.id, '--vault', vault, '--format', 'json'])).stdout)
const template = async (content: object, mode = 0o600) => {
  const path = join(folder, `template-${mode}.json`)
  await writeFile(path, JSON.stringify(content), { mode })
  return `--template=${path}`
}

test('it says who is signed in, and fails with words and 1 for a wrong token or none', async () => {
  expect(JSON.parse((await op(['whoami', '--format', 'json'])).stdout)).toMatchObject({ ServiceAccountType: 'SERVICE_ACCOUNT' })
  expect(await op(['whoami'], 'wrong')).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^\[ERROR] .*401/) })
  expect(await op(['whoami'], '')).toMatchObject({ code: 1, stderr: expect.stringContaining('OP_SERVICE_ACCOUNT_TOKEN') })
})

test('a reference is read with its section or without, with a line break at the end unless it is not wanted', async () => {
  expect((await op(['read', 'op://Production/OpenAI/credential'])).stdout).toBe('s3cret-value\n')
  expect((await op(['read', '-n', `op://${vault}/${item.id}/API/credential`])).stdout).toBe('s3cret-value')
  expect(await op(['read', 'op://Production/OpenAI/nothing'])).toMatchObject({ code: 1, stdout: '' })
})

test('an item is printed in snake case, edited as a template, and its version goes up', async () => {
  const before = await get()
  expect(before).toMatchObject({ version: 1, vault: { id: vault, name: 'Production' }, updated_at: expect.any(String) })
  for (const field of before.fields) if (field.label === 'credential') field.value = 'new-s3cret-value'
  const edited = await op(['item', 'edit', item.id, '--vault', vault, await template(before), '--format', 'json'])
  expect(edited).toMatchObject({ code: 0 })
  expect(await get()).toMatchObject({ version: 2, fields: [{ label: 'username' }, { label: 'credential', value: 'new-s3cret-value' }] })
})

test('a value among the arguments is refused, and so is a template that others can read', async () => {
  const before = await get()
  expect(await op(['item', 'edit', item.id, '--vault', vault, 'credential=in-the-open'])).toMatchObject({ code: 1 })
  expect(await op(['item', 'edit', item.id, '--vault', vault, await template(before, 0o644)])).toMatchObject({ code: 1 })
  expect((await get()).version).toBe(before.version)
})

test('a title that is there twice is refused, and an item that is not there', async () => {
  double.createItem(vault, 'twice', [])
  double.createItem(vault, 'twice', [])
  expect(await op(['item', 'get', 'twice', '--vault', vault])).toMatchObject({ code: 1, stderr: expect.stringContaining('More than one') })
  expect(await op(['item', 'get', 'none', '--vault', vault])).toMatchObject({ code: 1, stderr: expect.stringContaining("isn't an item") })
})
