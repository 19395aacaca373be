import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { violations } from '../browser/visit.ts'
import { type KmsDouble, startKms } from '../doubles/aws-kms.ts'
import { useRedis } from '../harness/redis.ts'
import { useBrowser } from './browser.ts'
import { admin, attemptLogin } from './mcp-host/application.ts'
import { everythingIn, useHost } from './mcp-host/world.ts'

const redis = await useRedis()
/** Only to end what hangs: everything shares the processor. */
const patient = { timeout: 120_000 }
const browser = useBrowser()

describe.skipIf(redis.missing)('MCP host', () => {
  const host = useHost(redis)
  const kek = host.key()
  const one = { SECRETS_ENCRYPTION_KEY: kek }
  const accepted = { state: 'completed', status: 200 }
  const received = () => host.called.received.at(-1)?.headers.authorization
  const page = async (path: string) => {
    const { url } = await host.serve(one)
    return { url, open: () => browser.open(url + path, host.cookie) }
  }

  test.skipIf(browser.missing)(
    'M8 The page /admin/encryption has cards for the active key, secrets and legacy rows, a Rotate button that asks for confirmation, the key history, and how it works; it is in the navigation',
    async () => {
      const { url, open } = await page('/admin/servers')
      for (const path of ['/admin/encryption', '/keyturn/', '/keyturn/keys']) {
        const { headers } = await fetch(url + path, { redirect: 'manual', headers: { Accept: 'text/html' } })
        expect(headers.get('location')).toBe('/login')
      }
      await host.addServer()
      const { page: shown, faults } = await open()
      await shown.getByRole('link', { name: 'Encryption' }).click()
      await shown.waitForURL(`${url}/admin/encryption`)
      const card = (name: string) =>
        shown
          .locator('.card', { has: shown.getByText(name, { exact: true }) })
          .locator('dd')
          .first()
      await expect.poll(() => card('Active key').textContent(), patient).toBe('Version 1')
      expect([await card('Secrets').textContent(), await card('Legacy rows').textContent()]).toEqual(['1', '0'])
      expect(await shown.getByRole('heading', { name: 'How it works' }).count()).toBe(1)

      await shown.getByRole('button', { name: 'Rotate…' }).click()
      await shown.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
      await shown.getByRole('button', { name: 'Rotate…' }).click()
      await shown.getByRole('dialog').getByRole('button', { name: 'Rotate' }).press('Enter')
      await expect.poll(() => shown.getByRole('status').textContent(), patient).toBe('Version 2 is active. 1 secret was encrypted again.')
      expect(await card('Active key').textContent()).toBe('Version 2')
      const history = await shown.locator('#keys tr').allInnerTexts()
      expect(history).toEqual([expect.stringMatching(/^2\s+active\s+user:ada/), expect.stringMatching(/^1\s+retired\s+mcp-host/)])
      expect(await host.events('admin.encryption.rotate')).toHaveLength(1)
      expect(await violations(shown)).toEqual([])

      // Keyturn's own console, mounted in the host, knows who is logged in.
      await shown.getByRole('link', { name: 'Keys and audit' }).click()
      await shown.waitForURL(`${url}/keyturn/**`)
      await expect.poll(() => shown.getByRole('main').innerText(), patient).toContain('secrets')
      expect(faults).toEqual([])
    },
  )

  test('M9 Workers read a secret at the moment of use: nothing in Redis says it, and a call that waited has the value of now', async () => {
    await host.serve(one)
    const { id, credential } = await host.addServer()
    const waiting = (await host.ask('POST', `/api/servers/${id}/calls`, { tool: 'look', arguments: {} })).body.call
    const queued = await everythingIn(redis)
    expect(queued).toContain('"reference')
    for (const secret of [credential, kek, (await host.storedSecrets())[0]?.value ?? '']) expect(queued).not.toContain(secret)

    // Before a worker has time, the secret and the key change.
    const next = host.called.issue()
    expect((await host.ask('PUT', `/api/servers/${id}/secrets/Authorization`, { value: `Bearer ${next}` })).status).toBe(200)
    expect((await host.ask('POST', '/v1/admin/encryption/rotate')).status).toBe(200)
    await host.work(one)
    await expect.poll(async () => (await host.ask('GET', `/api/calls/${waiting}`)).body, patient).toEqual(accepted)
    expect(received()).toBe(`Bearer ${next}`)
    const done = await everythingIn(redis)
    expect(done).not.toMatch(/marked-/)
    expect(done).not.toContain(host.cookie.split('=')[1])
  })

  test('M9 Attack: a job that names the secret of another server. It is not sent there.', async () => {
    await host.serve(one)
    const [victim, own] = [await host.addServer(), await host.addServer()]
    const { rows } = await host.server.pool.query('SELECT id FROM secrets WHERE "serverId" = $1', [victim.id])
    const call = (await host.ask('POST', `/api/servers/${own.id}/calls`, { tool: 'look', arguments: {} })).body.call
    const job = JSON.parse((await redis.client.hget(`mcp-host:calls:${call}`, 'data')) ?? '')
    job.headers.Authorization.row.id = rows[0].id
    await redis.client.hset(`mcp-host:calls:${call}`, 'data', JSON.stringify(job))
    const before = host.called.received.length
    await host.work(one)
    await expect.poll(async () => (await host.ask('GET', `/api/calls/${call}`)).body.state, patient).toBe('failed')
    expect(host.called.received).toHaveLength(before)
  })

  test.skipIf(browser.missing)(
    "M9 One server's secret is rotated on a page: the server is asked first, and a value that it does not accept is not stored",
    async () => {
      const { open } = await page('/admin/servers')
      await host.work(one)
      const { id, name } = await host.addServer('<img src=x onerror=alert(1)>')
      const { page: shown, faults } = await open()
      const rotate = async (value: string) => {
        await shown.getByRole('button', { name: `Rotate Authorization of ${name}` }).click()
        await shown.getByLabel('New value').fill(value)
        await shown.getByRole('dialog').getByRole('button', { name: 'Rotate' }).click()
      }
      const [stored] = await host.storedSecrets()
      await rotate('Bearer marked-mistyped')
      await expect
        .poll(() => shown.getByRole('alert').textContent(), patient)
        .toBe('the server answers 401 with the new value, so the old one stays')
      expect(await host.storedSecrets()).toEqual([stored])
      expect(await host.call(id)).toEqual(accepted)

      const next = host.called.issue()
      await rotate(`Bearer ${next}`)
      await expect.poll(() => shown.getByRole('status').textContent(), patient).toContain('is rotated')
      expect(await host.call(id)).toEqual(accepted)
      expect(received()).toBe(`Bearer ${next}`)
      expect(await host.events('server.secret.rotate')).toEqual([
        { actor: 'user:ada', subject: `server/${id}`, data: { secret: 'Authorization' } },
      ])
      expect(await shown.content()).not.toContain(next)
      expect(faults).toEqual([])
    },
  )

  test('M9 Log-ins are limited by account and by address, for all instances together, with the time to wait', async () => {
    const [first, second] = [await host.serve(one), await host.serve(one)]
    const attempt = (url: string, name: string, password = 'guessed') => attemptLogin(url, { name, password })
    // From a page of another site not even one.
    expect((await attemptLogin(first.url, admin, { Origin: 'https://elsewhere.example' })).status).toBe(403)
    await redis.client.del(await redis.client.keys('mcp-host:attempts:*'))
    const statuses: number[] = []
    for (let n = 0; n < 12; n++) statuses.push((await attempt(n % 2 === 0 ? first.url : second.url, admin.name)).status)
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429])
    const limited = await attempt(first.url, admin.name, admin.password)
    expect([limited.status, Number(limited.headers.get('retry-after'))]).toEqual([429, expect.toSatisfy((n: number) => n > 0 && n <= 60)])
    // Another name is another account, but the same address.
    for (let n = 0; n < 8; n++) statuses.push((await attempt(second.url, `name ${n}`)).status)
    expect(statuses.slice(12)).toEqual([...Array(7).fill(401), 429])
    // What a process prints comes after its answer.
    await expect.poll(() => first.events('login-limited').length + second.events('login-limited').length, patient).toBe(4)
  })

  test('M9 What was done is in a chain of hashes, which is checked over HTTP: an event that somebody has changed is found', async () => {
    await host.serve(one)
    await host.addServer()
    await host.ask('POST', '/v1/admin/encryption/rotate')
    const verify = async () => (await host.ask('GET', '/keyturn/v1/audit/verify')).body
    expect(await verify()).toMatchObject({ intact: true, fault: null })
    const rotated = (await host.ask('GET', '/keyturn/v1/audit?action=admin.encryption.rotate')).body.items
    expect(rotated).toMatchObject([{ actor: 'user:ada', data: { newVersion: 2, reEncrypted: 1 } }])
    await host.server.pool.query(`UPDATE keyturn.audit_event SET actor = 'user:eve' WHERE seq = $1`, [rotated[0].seq])
    expect(await verify()).toMatchObject({ intact: false, fault: { seq: rotated[0].seq, reason: 'hash' } })
  })

  describe('with a root key in KMS', () => {
    let kms: KmsDouble
    beforeAll(async () => {
      kms = await startKms()
    })
    afterAll(() => kms?.stop())

    test('M9 The root key moves into AWS KMS while secrets stay as they are; a process whose KMS is down does not serve', async () => {
      await host.serve(one)
      const { id } = await host.addServer()
      const [stored] = await host.storedSecrets()
      const inKms = { ...kms.env, AWS_ENDPOINT_URL_KMS: kms.endpoint, KMS_KEY_ID: kms.createKey('mrk-0b7f') }
      const both = { ...one, ...inKms }
      await host.serve(both)
      const { before: old, roots } = await host.script(['rewrap'], both)
      expect({ old, roots: roots.toSorted() }).toEqual({ old: [expect.stringMatching(/^local:/)], roots: ['aws-kms:mrk-0b7f', old[0]] })
      expect((await host.script(['rewrap', old[0]], both)).roots).toEqual(['aws-kms:mrk-0b7f'])

      await host.serve(inKms)
      await host.work(inKms)
      expect(await host.call(id)).toEqual(accepted)
      expect(await host.storedSecrets()).toEqual([stored])
      const calls = kms.calls.length
      expect((await host.ask('POST', '/v1/admin/encryption/rotate')).body).toEqual({ newVersion: 2, reEncrypted: 1 })
      expect(await host.call(id)).toEqual(accepted)
      expect(kms.calls.slice(calls).map(({ operation }) => operation)).toContain('Encrypt')
      expect(kms.calls.every(({ keyId, outcome }) => keyId.endsWith('mrk-0b7f') && outcome === 'ok')).toBe(true)

      expect(await host.refused(one)).toMatchObject({ code: 1 })
      await kms.stop()
      expect(await host.refused(inKms)).toMatchObject({ code: 1, message: expect.stringContaining('aws-kms:mrk-0b7f') })
    })
  })
})
