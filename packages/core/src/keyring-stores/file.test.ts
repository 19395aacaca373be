import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { conformsToKeyringStore } from '../../../../test/conformance/keyring-store.ts'
import local from '../key-wrappers/local.ts'
import { createKeyring } from '../keyring/custody.ts'
import fileKeyrings from './file.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-file-'))
})
afterAll(() => rm(folder, { recursive: true }))

conformsToKeyringStore('a file', async () => {
  const store = fileKeyrings(join(folder, 'conformance.json'))
  return { store, events: () => store.events() }
})

const root = local({ key: '1a'.repeat(32) })
const event = { actor: 'library', action: 'keyring.create', subject: 'keyring/app', data: {} }
const save = async (store: ReturnType<typeof fileKeyrings>, name = 'app') => store.save(await createKeyring(name, root, new Date()), event)

/** The pid of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  return child.pid!
}

test('a process killed between writing and renaming leaves the document as it was, and the next change goes through', async () => {
  const path = join(folder, 'killed.json')
  const store = fileKeyrings(path)
  await save(store)
  const before = await readFile(path, 'utf8')
  await writeFile(`${path}.new`, before.slice(0, 100))
  await writeFile(`${path}.lock`, JSON.stringify({ pid: await deadPid(), host: hostname(), token: 'left-behind' }))
  expect(await store.list()).toEqual(['app'])
  expect(await readFile(path, 'utf8')).toBe(before)
  await save(store, 'second')
  expect(await store.list()).toEqual(['app', 'second'])
  expect((await readdir(folder)).filter((name) => name.startsWith('killed.json'))).toEqual(['killed.json'])
})

test('a stale lock is taken away by one of many, and none of their changes is lost', async () => {
  const path = join(folder, 'stale.json')
  await writeFile(`${path}.lock`, JSON.stringify({ pid: await deadPid(), host: hostname(), token: 'left-behind' }))
  const names = Array.from({ length: 8 }, (_, n) => `ring-${n}`)
  await Promise.all(names.map((name) => save(fileKeyrings(path), name)))
  expect(await fileKeyrings(path).list()).toEqual(names)
})

test('a lock with our own pid that this process never took was left by one that died', async () => {
  const path = join(folder, 'same-pid.json')
  await writeFile(`${path}.lock`, JSON.stringify({ pid: process.pid, host: hostname(), token: 'of-before' }))
  await save(fileKeyrings(path, { waitMs: 0 }))
})

test.each([
  ['a process that lives', { pid: process.ppid, host: hostname() }],
  ['another machine', { pid: 1, host: `not-${hostname()}` }],
])('a lock of %s is respected', async (_, owner) => {
  const path = join(folder, `respected-${owner.pid}.json`)
  await writeFile(`${path}.lock`, JSON.stringify({ ...owner, token: 'theirs' }))
  await expect(save(fileKeyrings(path, { waitMs: 50 }))).rejects.toMatchObject({ code: 'ERR_STATE_IN_USE' })
  expect(await fileKeyrings(path).list()).toEqual([])
})

test('the document is for its owner only', async () => {
  const path = join(folder, 'mode.json')
  await save(fileKeyrings(path))
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

test('a document of a newer format, and one that is no JSON, are refused without being quoted', async () => {
  const path = join(folder, 'newer.json')
  await writeFile(path, '{"format":2}')
  await expect(fileKeyrings(path).load('app')).rejects.toMatchObject({ code: 'ERR_STATE_NEWER' })
  await writeFile(path, '{"marked')
  await expect(fileKeyrings(path).load('app')).rejects.toThrow(/^(?!.*marked)/)
})

test.each([
  'null',
  '[]',
  '5',
  '{}',
  '{"format":1}',
  '{"format":1,"keyrings":null,"audit":[]}',
  '{"format":1,"keyrings":{},"audit":{}}',
  '{"format":1,"keyrings":{"app":null},"audit":[]}',
  '{"format":1,"keyrings":{"app":{"revision":1,"mac":"marked","seal":null,"versions":[],"messages":{}}},"audit":[]}',
  '{"format":1,"keyrings":{"app":{"revision":1e300,"mac":"","seal":{"id":"s","wrappings":[]},"versions":[],"messages":{}}},"audit":[]}',
  '{"format":1,"keyrings":{"app":{"revision":1,"mac":"","seal":{"id":"s","wrappings":[null]},"versions":[],"messages":{}}},"audit":[]}',
  '{"format":1,"keyrings":{"app":{"revision":1,"mac":"","seal":{"id":"s","wrappings":[]},"versions":[{"id":"x"}],"messages":{}}},"audit":[]}',
])('a document that somebody emptied or rearranged is refused, and is not written over: %s', async (text) => {
  const path = join(folder, 'rearranged.json')
  await writeFile(path, text)
  const store = fileKeyrings(path)
  const attempts: (() => Promise<unknown>)[] = [
    () => store.load('app'),
    () => store.list(),
    () => store.messages('app'),
    () => store.events(),
    () => store.reserve('app', 'x', 1),
    () => save(store),
  ]
  for (const attempt of attempts)
    await expect(attempt()).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.not.stringContaining('marked') })
  expect(await readFile(path, 'utf8')).toBe(text)
})

test('what stands beside the document, a file that everybody may write or a link to another one, is not taken over', async () => {
  const [path, victim] = [join(folder, 'beside.json'), join(folder, 'victim')]
  await writeFile(victim, 'as it was')
  await writeFile(`${path}.new`, '', { mode: 0o666 })
  await chmod(`${path}.new`, 0o666)
  await save(fileKeyrings(path))
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  await symlink(victim, `${path}.new`)
  await save(fileKeyrings(path), 'other')
  expect(await readFile(victim, 'utf8')).toBe('as it was')
  expect((await lstat(path)).isFile()).toBe(true)
})
