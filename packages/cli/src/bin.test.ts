import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, runChild } from '../../../test/harness/child.ts'
import { createFolder } from '../../../test/harness/command.ts'

const bin = join(root, 'packages/cli/bin/keyturn.js')

test('it starts through a link, from another folder', async () => {
  const cwd = await createFolder()
  await symlink(bin, join(cwd, 'keyturn'))
  const { code, stdout, stderr } = await runChild(join(cwd, 'keyturn'), ['keygen'], { cwd, node: [] })
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/^[0-9a-f]{64}\n$/)
})

test('an older Node gets one sentence and exit 2', async () => {
  const older = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.11.0'})`
  const { code, stdout, stderr } = await runChild(bin, ['--help'], { node: ['--import', older] })
  expect([code, stdout, stderr]).toEqual([2, '', 'keyturn: Keyturn needs Node 22.18 or newer; this is 20.11.0 [ERR_NODE_VERSION]\n'])
})

test('with --json an older Node gets its error as a line of JSON, too', async () => {
  const older = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.11.0'})`
  const { code, stdout } = await runChild(bin, ['status', '--json'], { node: ['--import', older] })
  const error = { code: 'ERR_NODE_VERSION', message: 'Keyturn needs Node 22.18 or newer; this is 20.11.0' }
  expect([code, stdout]).toEqual([2, `${JSON.stringify({ error })}\n`])
})

test('a long result is written whole before the process ends', async () => {
  const { code, stdout } = await runChild(bin, ['init', '--sql'], { cwd: await createFolder(), node: [] })
  expect(code).toBe(0)
  expect(stdout.trimEnd()).toMatch(/COMMIT;$/)
})

test('a user without a name, as containers have them, can run it', async () => {
  const nameless = `data:text/javascript,import os from 'node:os';import { syncBuiltinESMExports } from 'node:module';
    os.userInfo=()=>{throw new Error('no such user')};syncBuiltinESMExports()`
  const cwd = await createFolder({ 'keyturn.config.json': '{ "keyrings": {}, "fields": {} }' })
  const database = ['--database', 'pglite:data']
  expect(await runChild(bin, ['init', ...database], { cwd, node: [] })).toMatchObject({ code: 0 })
  const { code, stdout, stderr } = await runChild(bin, ['status', '--json', ...database], { cwd, node: ['--import', nameless] })
  expect([code, stderr, JSON.parse(stdout)]).toEqual([0, '', { keyrings: [], rotations: [], holds: [] }])
})
