import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, expect, test } from 'vitest'
import { targetConformance } from '../../../../test/conformance/secrets/target.ts'
import { startKubernetes } from '../../../../test/doubles/kubernetes.ts'
import type { DeploymentOptions } from '../../../../test/doubles/kubernetes-deployment.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import kubernetes, { options } from './kubernetes.ts'

const cluster = await startKubernetes()
const env = { TOKEN: cluster.token, READER: cluster.createToken('shop', ['get']) }
let deployments = 0
const call = (signal = new AbortController().signal): Call => ({ secret: 'dsn', attempt: randomUUID(), signal })

afterEach(() => cluster.faults.clear())
afterAll(() => cluster.stop())

targetConformance('kubernetes', async (first) => {
  const config = { namespace: 'shop', name: 'conforming', endpoint: cluster.origin, token: { env: 'TOKEN' } }
  cluster.createSecret('shop', 'conforming', { KEY: first })
  const deployment = await cluster.createDeployment('shop', 'conforming', { secrets: ['conforming'], replicas: 2, lag: 1 })
  return {
    store: { store: 'kubernetes', ...config },
    config: { target: 'kubernetes', ...config, pauseMs: 1 },
    env: { TOKEN: cluster.token },
    part: kubernetes(options.parse({ ...config, pauseMs: 1 }), worldOf(env, Date.now)),
    running: async () => deployment.pods.map(({ KEY }) => KEY),
    deployments: async () => deployment.generation,
    sent: async () => JSON.stringify(deployment.spec),
    lose: () => cluster.faults.next('deployments.patch', 'drop'),
    refuse: () => cluster.faults.next('deployments.patch', { status: 403 }),
    hang: () => {
      cluster.faults.next('deployments.patch', 'silent')
      return () => cluster.calls.at(-1)?.fault === 'silent'
    },
    close: async () => {},
  }
})

/** A Deployment whose pods have read `old`, a Secret that now says `new`, and a target before them. */
async function made(more: DeploymentOptions = {}, given: object = {}) {
  const name = `web-${++deployments}`
  cluster.createSecret('shop', name, { KEY: 'old' })
  const deployment = await cluster.createDeployment('shop', name, { secrets: [name], lag: 2, ...more })
  cluster.editElsewhere('shop', name, { KEY: 'new' })
  const config = { namespace: 'shop', name, endpoint: cluster.origin, token: { env: 'TOKEN' }, pauseMs: 1, ...given }
  return {
    name,
    deployment,
    keys: () => deployment.pods.map(({ KEY }) => KEY),
    target: kubernetes(options.parse(config), worldOf(env, Date.now)),
  }
}

test('it returns when every pod has the new value, and not while the status is that of before', async () => {
  const { target, keys } = await made({ replicas: 3 })
  expect(await target.deploy(call(), {})).toEqual({ replicas: 3, generation: 2 })
  expect(keys()).toEqual(['new', 'new', 'new'])
})

test('deploying again restarts nothing, also after an answer that was lost; another attempt does', async () => {
  const { target, deployment, keys } = await made()
  const one = call()
  cluster.faults.next('deployments.patch', 'drop')
  await expect(target.deploy(one, {})).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await target.deploy(one, {})
  await target.deploy(one, {})
  expect([deployment.generation, keys()]).toEqual([2, ['new', 'new']])
  await target.deploy(call(), {})
  expect(deployment.generation).toBe(3)
})

test('pods that crash over the new value end it, and the older ones go on; the way back is free', async () => {
  const { target, name, keys } = await made({ boot: ({ KEY }) => (KEY === 'new' ? Promise.reject(new Error('it crashed')) : null) })
  const one = call()
  for (let time = 0; time < 2; time++) await expect(target.deploy(one, {})).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(keys()).toEqual(['old', 'old'])
  cluster.editElsewhere('shop', name, { KEY: 'old' })
  await target.deploy(call(), {})
})

test('one that is paused is refused and not touched; one that takes too long is uncertain', async () => {
  const { target, deployment } = await made({ paused: true })
  await expect(target.deploy(call(), {})).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(deployment.generation).toBe(1)
  const slow = await made({ lag: 1_000_000 })
  await expect(slow.target.deploy(call(AbortSignal.timeout(300)), {})).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
})

test('a check finds a right that is missing, a pause, nothing to replace, and changes nothing', async () => {
  const { target, deployment } = await made()
  expect(await target.check(call())).toEqual([])
  expect(deployment.generation).toBe(1)
  expect(await (await made({}, { token: { env: 'READER' } })).target.check(call())).toMatchObject([{ severity: 'fault' }])
  expect(await (await made({}, { name: 'nothing' })).target.check(call())).toMatchObject([{ severity: 'fault' }])
  expect(await (await made({ paused: true })).target.check(call())).toMatchObject([{ severity: 'fault' }])
  expect(await (await made({ replicas: 0 })).target.check(call())).toMatchObject([{ severity: 'warning' }])
})
