import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startChild } from '../../../test/harness/child.ts'
import { createFolder } from '../../../test/harness/command.ts'
import { lockFolder } from './embedded-lock.ts'

async function holder(folder: string) {
  const lock = new URL('embedded-lock.ts', import.meta.url).href
  const script = `import { lockFolder } from '${lock}'\nlockFolder(${JSON.stringify(folder)})\nconsole.log('locked')\nsetInterval(() => {}, 1000)`
  const file = join(await createFolder({ 'holder.mjs': script }), 'holder.mjs')
  const child = startChild(file)
  await child.printed('locked')
  return child
}

test('a second process is refused while the first lives, and takes over after it was killed', async () => {
  const folder = join(await createFolder(), 'state')
  const child = await holder(folder)
  expect(() => lockFolder(folder)).toThrow(expect.objectContaining({ code: 'ERR_STATE_IN_USE' }))
  await child.kill()
  expect(existsSync(`${folder}.lock`)).toBe(true)
  const unlock = lockFolder(folder)
  expect(() => lockFolder(folder)).toThrow(expect.objectContaining({ code: 'ERR_STATE_IN_USE' }))
  unlock()
  expect(existsSync(`${folder}.lock`)).toBe(false)
})

test('a number of a process that was used again is not taken for the owner', async () => {
  const folder = join(await createFolder(), 'state')
  await writeFile(`${folder}.lock`, JSON.stringify({ host: hostname(), pid: process.pid, started: 'long ago' }))
  lockFolder(folder)()
})

test.each([
  ['of another machine', JSON.stringify({ host: 'elsewhere', pid: 1, started: '1' })],
  ['that cannot be read', 'not ours'],
])('a lock %s is left alone', async (_, text) => {
  const folder = join(await createFolder(), 'state')
  await writeFile(`${folder}.lock`, text)
  expect(() => lockFolder(folder)).toThrow(expect.objectContaining({ code: 'ERR_STATE_IN_USE' }))
})
