import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type KmsDouble, startKms } from '../doubles/aws-kms.ts'
import { runChild } from '../harness/child.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { HostEnvironment } from './host.ts'

// Each start is a process of its own, which takes long on a loaded machine.
vi.setConfig({ testTimeout: 600_000 })
const server = useDatabase()
let kms: KmsDouble
let key: string
beforeAll(async () => {
  kms = await startKms()
  key = kms.createKey('1234abcd-12ab-34cd-56ef-1234567890ab')
})
afterEach(async () => {
  Object.assign(kms.faults, { refuse: null, answerAs: null, throttle: 0 })
})
afterAll(() => kms.stop())

const start = (more: Partial<HostEnvironment> = {}, node: readonly string[] = []) => {
  const environment: HostEnvironment = { DATABASE_URL: server.url, KMS_KEY_ID: key, KMS_ENDPOINT: kms.endpoint, ...more }
  return runChild('test/envelope/host.ts', [], { env: { ...kms.env, ...environment }, node: ['--conditions=source', ...node] })
}
const refused = (text: string) => ({ code: 1, stdout: '', stderr: expect.stringContaining(text) })

test('an instance whose KMS is down does not serve: it says why and exits with 1, and so do all others until it is up', async () => {
  await kms.stop()
  expect(await start()).toMatchObject(refused('ECONNREFUSED'))
  await kms.start()
  const ready = { code: 0, stdout: 'Encryption is ready: keyring "app", version 1.\nserving\n' }
  expect(await start()).toMatchObject(ready)
  kms.faults.refuse = [400, 'AccessDeniedException']
  expect(await start()).toMatchObject(refused('Allow kms:Encrypt and kms:Decrypt'))
  kms.faults.refuse = null
  kms.faults.answerAs = 'mrk-another'
  expect(await start()).toMatchObject(refused('answered for another key'))
  kms.faults.answerAs = null
  expect(await start({ KMS_KEY_ID: kms.createKey('mrk-another') })).toMatchObject(refused('ERR_ROOT_KEY'))
  expect(await start({ KMS_KEY_ID: '' })).toMatchObject(refused('ERR_ENV_MISSING'))
  // A KMS that is only slow to let us in is no reason to stay away.
  kms.faults.throttle = 1
  expect(await start()).toMatchObject(ready)
})

test('nothing that an instance prints when it does not start has a secret in it', async () => {
  kms.faults.refuse = [400, 'SomethingNew']
  const { stdout, stderr } = await start()
  for (const secret of [kms.env.AWS_SECRET_ACCESS_KEY ?? '', 'may hold anything', new URL(server.url).password || 'no password'])
    expect(stdout + stderr).not.toContain(secret)
})

test('where the SDK of AWS is not installed, the message says how to get it', async () => {
  const hide = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) { if (name.startsWith('@aws-sdk/')) throw new Error('not installed'); return next(name, context) } })`
  const node = ['--import', `data:text/javascript,${encodeURIComponent(hide)}`]
  expect(await start({}, node)).toMatchObject(refused('npm install @aws-sdk/client-kms'))
})
