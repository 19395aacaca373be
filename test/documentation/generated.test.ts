import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { errorCodes } from '../../packages/core/src/errors.ts'
import { root } from '../harness/child.ts'
import { helpTexts } from './command.ts'
import { generated } from './generated.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')

test.each(Object.entries(generated))('%s is what "npm run docs" writes.', async (path, text) => {
  expect(read(path)).toBe(await text())
})

test('every code is documented, and every documented code exists.', () => {
  const documented = [...read('docs/errors.md').matchAll(/^\| `(ERR_\w+)` \|/gm)].map(([, code]) => code)
  expect(documented.toSorted()).toEqual(Object.keys(errorCodes).toSorted())
})

test('docs/command.md holds what the command prints for --help, word by word.', async () => {
  const document = read('docs/command.md')
  expect((await helpTexts()).filter((text) => !document.includes(text))).toEqual([])
})

test('every code of the table is raised somewhere.', () => {
  const packages = ['core', 'presets', 'secrets', 'server', 'cli']
  const folders = [...packages.map((name) => `packages/${name}/src`), 'packages/cli/bin']
  const sources = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.[jt]s$/.test(path) && !path.endsWith('.test.ts') && path !== 'errors.ts')
      .map((path) => read(join(folder, path))),
  )
  expect(Object.keys(errorCodes).filter((code) => !sources.some((source) => source.includes(code)))).toEqual([])
})
