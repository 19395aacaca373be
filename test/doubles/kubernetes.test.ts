import { AppsV1Api, CoreV1Api, KubeConfig, PatchStrategy, setHeaderOptions } from '@kubernetes/client-node'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { startKubernetes } from './kubernetes.ts'

const cluster = await startKubernetes()
const config = new KubeConfig()
config.loadFromOptions({
  clusters: [{ name: 'double', server: cluster.origin, skipTLSVerify: true }],
  users: [{ name: 'keyturn', token: cluster.token }],
  contexts: [{ name: 'double', cluster: 'double', user: 'keyturn' }],
  currentContext: 'double',
})
const core = config.makeApiClient(CoreV1Api)
const apps = config.makeApiClient(AppsV1Api)
const merge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch)
const base64 = (text: string) => Buffer.from(text).toString('base64')

afterEach(() => cluster.faults.clear())
afterAll(() => cluster.stop())

async function ask(method: string, path: string, body?: object, { token = cluster.token, type = 'application/merge-patch+json' } = {}) {
  const answer = await fetch(`${cluster.origin}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': type },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: (await answer.json()) as { message?: string; metadata: { resourceVersion: string } } }
}
const patch = (name: string, body: object, more = {}) => ask('PATCH', `/api/v1/namespaces/shop/secrets/${name}`, body, more)

describe('secrets', () => {
  test('the client of the vendor reads, and patches what it names; null deletes', async () => {
    cluster.createSecret('shop', 'db', { DSN: 'old', KEPT: 'yes', OLD: 'x' })
    const before = await core.readNamespacedSecret({ namespace: 'shop', name: 'db' })
    expect(before.data).toMatchObject({ DSN: base64('old') })
    const body = { data: { DSN: base64('new'), OLD: null } }
    const after = await core.patchNamespacedSecret({ namespace: 'shop', name: 'db', body }, merge)
    expect(cluster.secret('shop', 'db')).toEqual({ DSN: 'new', KEPT: 'yes' })
    expect(after.metadata?.resourceVersion).not.toBe(before.metadata?.resourceVersion)
  })

  test('without the header the vendor’s client sends another kind of patch, which is refused', async () => {
    await expect(core.patchNamespacedSecret({ namespace: 'shop', name: 'db', body: { data: {} } })).rejects.toMatchObject({ code: 400 })
    expect(await patch('db', {}, { type: 'application/json' })).toMatchObject({ status: 415 })
  })

  test('a patch with an older version is 409', async () => {
    cluster.createSecret('shop', 'raced', { A: '1' })
    const { body } = await ask('GET', '/api/v1/namespaces/shop/secrets/raced')
    cluster.editElsewhere('shop', 'raced', { A: '2' })
    const data = { A: base64('3') }
    const stale = { metadata: { resourceVersion: body.metadata.resourceVersion }, data }
    expect(await patch('raced', stale)).toMatchObject({ status: 409, body: { kind: 'Status', reason: 'Conflict', code: 409 } })
    expect(cluster.secret('shop', 'raced')).toEqual({ A: '2' })
    expect(await patch('raced', { data })).toMatchObject({ status: 200 })
  })

  test('a patch that changes nothing leaves the version as it is', async () => {
    cluster.createSecret('shop', 'same', { A: '1' })
    const { body } = await ask('GET', '/api/v1/namespaces/shop/secrets/same')
    expect((await patch('same', { stringData: { A: '1' } })).body.metadata).toEqual(body.metadata)
  })

  test('an immutable secret is 422, and so are a name that is none and more than a megabyte', async () => {
    cluster.createSecret('shop', 'fixed', { A: '1' }, { immutable: true })
    expect(await patch('fixed', { data: { A: base64('2') } })).toMatchObject({ status: 422, body: { reason: 'Invalid' } })
    cluster.createSecret('shop', 'free', {})
    expect(await patch('free', { data: { 'not good': base64('2') } })).toMatchObject({ status: 422 })
    expect(await patch('free', { stringData: { A: 'x'.repeat(1_048_577) } })).toMatchObject({ status: 422 })
    expect(await patch('free', { data: { A: 'not base64' } })).toMatchObject({ status: 400 })
  })

  test('a dry run finds what would be refused and changes nothing', async () => {
    cluster.createSecret('shop', 'dry', { A: '1' })
    expect(await patch('dry?dryRun=All', { stringData: { A: '2' } })).toMatchObject({ status: 200 })
    expect(await patch('fixed?dryRun=All', { stringData: { A: '2' } })).toMatchObject({ status: 422 })
    expect(cluster.secret('shop', 'dry')).toEqual({ A: '1' })
  })

  test('a wrong token is 401, a right that is missing 403, a secret that is missing 404', async () => {
    const reader = cluster.createToken('shop', ['get'])
    expect(await patch('db', {}, { token: 'wrong' })).toMatchObject({ status: 401, body: { reason: 'Unauthorized' } })
    expect(await patch('db', {}, { token: reader })).toMatchObject({ status: 403, body: { reason: 'Forbidden' } })
    expect(await ask('GET', '/api/v1/namespaces/bank/secrets/db', undefined, { token: reader })).toMatchObject({ status: 403 })
    expect(await patch('nothing', {})).toMatchObject({ status: 404, body: { message: 'secrets "nothing" not found' } })
  })
})

describe('deployments', () => {
  const restart = (name: string, at: string) => {
    const body = { spec: { template: { metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': at } } } } }
    return apps.patchNamespacedDeployment({ namespace: 'shop', name, body }, merge)
  }
  const look = async (name: string) => {
    const { metadata, status } = await apps.readNamespacedDeployment({ namespace: 'shop', name })
    const { observedGeneration, updatedReplicas = 0, unavailableReplicas = 0, conditions = [] } = status ?? {}
    const isSeen = (observedGeneration ?? 0) >= (metadata?.generation ?? 0)
    return { isSeen, updatedReplicas, unavailableReplicas, reason: conditions[0]?.reason }
  }

  test('a change is seen late, then one pod after another starts anew; each keeps what it started with', async () => {
    cluster.createSecret('shop', 'env', { KEY: 'old' })
    const deployment = await cluster.createDeployment('shop', 'web', { replicas: 2, secrets: ['env'] })
    cluster.editElsewhere('shop', 'env', { KEY: 'new' })
    expect(deployment.pods).toEqual([{ KEY: 'old' }, { KEY: 'old' }])
    await restart('web', '2026-01-01T00:00:00Z')
    // The status of before looks like that of a rollout that is over: only the generation tells.
    expect(await look('web')).toEqual({ isSeen: false, updatedReplicas: 2, unavailableReplicas: 0, reason: 'NewReplicaSetAvailable' })
    expect(await look('web')).toMatchObject({ isSeen: true, updatedReplicas: 0, reason: 'ReplicaSetUpdated' })
    expect(await look('web')).toMatchObject({ isSeen: true, updatedReplicas: 1 })
    expect(deployment.pods).toEqual([{ KEY: 'new' }, { KEY: 'old' }])
    expect(await look('web')).toMatchObject({ isSeen: true, updatedReplicas: 2, reason: 'NewReplicaSetAvailable' })
    expect(deployment.pods).toEqual([{ KEY: 'new' }, { KEY: 'new' }])
  })

  test('the same annotation again changes nothing', async () => {
    const deployment = await cluster.createDeployment('shop', 'calm')
    await restart('calm', '2026-01-01T00:00:00Z')
    await restart('calm', '2026-01-01T00:00:00Z')
    expect(deployment.generation).toBe(2)
  })

  test('pods that crash leave the older ones, and the deadline passes', async () => {
    let isCrashing = false
    await cluster.createDeployment('shop', 'bad', { lag: 0, boot: () => (isCrashing ? Promise.reject(new Error('it crashed')) : null) })
    isCrashing = true
    await restart('bad', '2026-01-01T00:00:00Z')
    const seen = []
    for (let looks = 0; looks < 4; looks++) seen.push(await look('bad'))
    expect(seen.at(1)).toMatchObject({ unavailableReplicas: 1, reason: 'ReplicaSetUpdated' })
    expect(seen.at(-1)).toMatchObject({ unavailableReplicas: 1, reason: 'ProgressDeadlineExceeded' })
  })

  test('one that is paused sees the change and does nothing', async () => {
    const deployment = await cluster.createDeployment('shop', 'paused', { lag: 0, paused: true })
    await restart('paused', '2026-01-01T00:00:00Z')
    for (let looks = 0; looks < 3; looks++) expect(await look('paused')).toMatchObject({ isSeen: true, updatedReplicas: 0 })
    expect(deployment.pods).toHaveLength(2)
  })
})

test('a patch whose answer is lost was applied; no value is on record', async () => {
  cluster.createSecret('shop', 'lost', {})
  cluster.faults.next('secrets.patch', 'drop')
  await expect(patch('lost', { stringData: { A: 'lost-value' } })).rejects.toThrow()
  expect(cluster.secret('shop', 'lost')).toEqual({ A: 'lost-value' })
  expect(JSON.stringify(cluster.calls)).not.toMatch(/lost-value|eyJ/)
})
