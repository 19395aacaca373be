import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runChild } from '../../../test/harness/child.ts'
import { createFolder, runCommand } from '../../../test/harness/command.ts'
import { findConfig } from './config-file.ts'

const text = `{ keyrings: { app: { root: { env: 'ROOT' } } }, fields: {} }`
const config = { keyrings: { app: { root: { env: 'ROOT' } } }, fields: {} }

test.each([
  ['keyturn.config.ts', `const config: object = ${text}\nexport default config`],
  ['keyturn.config.mjs', `export default ${text}`],
  ['keyturn.config.json', JSON.stringify(config)],
])('%s of the working directory is found', async (name, file) => {
  const cwd = await createFolder({ [name]: file })
  expect(await findConfig(cwd)).toEqual({ path: join(cwd, name), config })
})

test('a file that is named is taken, from wherever', async () => {
  const cwd = await createFolder({ 'other.json': JSON.stringify(config) })
  expect((await findConfig(cwd, 'other.json'))?.config).toEqual(config)
})

test('none is no error, but a named one must be there', async () => {
  const cwd = await createFolder()
  expect(await findConfig(cwd)).toBeNull()
  await expect(findConfig(cwd, 'x.json')).rejects.toMatchObject({ code: 'ERR_CONFIG_NOT_FOUND' })
})

test.each([
  ['x.json', '{\n  "keyrings": {},\n  "fields": {}\n "marked-secret"}', 'x.json: it is not JSON; the fault is in line 4'],
  [
    'x.json',
    '{ "keyrings": {}, "fields": {}, "feilds": "marked-secret" }',
    'at feilds: there is no property "feilds" here. Did you mean "fields"?',
  ],
  ['a.mjs', 'export const config = {}', 'a.mjs: it has no default export'],
  ['b.mjs', `throw new Error('marked-secret')`, 'b.mjs: it cannot be loaded (Error). "node b.mjs" shows why'],
  ['c.ts', 'export default {', 'c.ts: it cannot be loaded ('],
])('%s that holds %j is refused with its fault, and without what it says', async (name, file, sentence) => {
  const cwd = await createFolder({ [name]: file })
  const message = await findConfig(cwd, name).then(
    () => 'accepted',
    (error: Error) => error.message,
  )
  expect(message).toContain(sentence)
  expect(message).not.toContain('marked-secret')
})

test('a configuration may import @keyturn/core where only the command is installed', async () => {
  const cwd = await createFolder({
    'keyturn.config.ts': `import { defineConfig, env } from '@keyturn/core'\nexport default defineConfig({ database: env('MISSING_URL'), keyrings: {}, fields: {} })`,
  })
  const { code, stderr } = await runChild('packages/cli/bin/keyturn.js', ['status'], { cwd, node: [] })
  expect([code, stderr]).toEqual([
    2,
    'keyturn: the environment variable MISSING_URL is not set. It is needed for the address of the database [ERR_ENV_MISSING]\n',
  ])
})

test('without a configuration and without flags the sentence says what to do', async () => {
  const cwd = await createFolder()
  await mkdir(join(cwd, 'sub'))
  await writeFile(join(cwd, 'sub', 'unrelated'), '')
  const { code, stderr } = await runCommand(['status'], { cwd })
  expect(code).toBe(2)
  expect(stderr).toMatch(/there is no configuration at .*Run "keyturn init", or give --database and the key flags \[ERR_CONFIG_NOT_FOUND\]/)
})
