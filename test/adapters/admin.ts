import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { type OpenOptions, open } from '../../packages/core/src/open.ts'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { startChild } from '../harness/child.ts'
import { useDatabase } from '../harness/postgres.ts'
import { calm, config, keys, newKey, oldKey, tables } from './connectors.ts'
import type { Framework } from './serving-child.ts'

/** What a test serves with; a framework's test brings it up. */
export interface Serving {
  readonly keyturn: Keyturn | (() => Promise<Keyturn>)
  readonly authorize: (request: {
    readonly headers: { readonly authorization?: string | undefined }
  }) => string | null | Promise<string | null>
  readonly keyring?: string
  readonly connectors?: string
  readonly waitMs?: number
  readonly prefix?: string
  readonly onReady?: (line: string) => void
}
/** Brings up a server of the framework on a free port. */
export type Serve = (serving: Serving) => Promise<{ readonly url: string; close(): Promise<void> }>

const authorize: Serving['authorize'] = ({ headers }) => (headers.authorization === 'Bearer of-ada' ? 'user:ada' : null)

/** What the admin routes do behind every framework. */
export function adminRoutes(framework: Framework, serve: Serve): void {
  const server = useDatabase()
  const closing: (() => Promise<void>)[] = []
  let url = ''
  let keyturn: Keyturn
  const opened = async (more: Partial<OpenOptions> = {}, by = config) => {
    const opening = await open(by, { pool: server.pool, env: keys, warn: () => {}, ...more })
    closing.push(() => opening.close())
    return opening
  }
  const start = async (more: Partial<Serving> = {}) => {
    keyturn = await opened()
    const served = await serve({ keyturn, authorize, keyring: 'app', connectors: 'connectors', ...more })
    closing.push(() => served.close())
    url = served.url
  }
  const ask = async (method: string, path: string, headers: Record<string, string> = { authorization: 'Bearer of-ada' }, body?: string) => {
    const response = await fetch(`${url}${path}`, { method, headers, ...(body !== undefined && { body }) })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  }
  /** The status of a request whose path is sent as it is written here, without a token. */
  const bare = async (method: string, path: string) => {
    const { hostname, port } = new URL(url)
    const sent = request({ method, path, hostname, port, agent: false }).end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    response.resume()
    return response.statusCode ?? 0
  }
  const status = async () => (await ask('GET', '/v1/admin/encryption')).body
  const until = async (condition: () => Promise<boolean>) => {
    while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const eventsOf = async (action: string) => {
    const found = []
    for await (const event of keyturn.audit.events()) if (event.action === action) found.push(event)
    return found
  }

  beforeEach(async () => {
    await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS secrets, connectors')
    await server.pool.query(tables)
    const older = await open(
      defineConfig({
        keyrings: { kek: { primary: env('KEK') } },
        fields: { s: { column: 'secrets.value', keyring: 'kek', writes: 'hex-colon' } },
      }),
      { pool: server.pool, env: keys },
    )
    for (let id = 1; id <= 3; id++)
      await server.pool.query('INSERT INTO secrets VALUES ($1, $2, NULL)', [id, await older.field('s').encrypt(`older ${id}`)])
    await older.close()
    const app = await opened({}, calm)
    const { value, keyId } = await app.field('secret').encryptKeyed('newer 4')
    await server.pool.query('INSERT INTO secrets VALUES (4, $1, $2)', [value, keyId])
    const before = await opened({ env: { ...keys, CONNECTOR_KEY: oldKey, CONNECTOR_KEY_PREVIOUS: newKey } }, calm)
    for (let id = 1; id <= 5; id++) {
      const field = (id === 5 ? app : before).field('header')
      const headers = [
        { name: 'A', secret: true, value: await field.encrypt('a') },
        { name: 'B', secret: true, value: await field.encrypt('b') },
        { name: 'C', secret: false, value: 'plain' },
      ]
      await server.pool.query('INSERT INTO connectors VALUES ($1, $2)', [id, JSON.stringify({ headers })])
    }
  })
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  describe(`Admin routes on ${framework}`, () => {
    test('answer nobody without a token, whatever is asked and sent, and change nothing.', async () => {
      await start()
      for (const [method, path, headers, body] of [
        ['GET', '/v1/admin/encryption'],
        ['POST', '/v1/admin/encryption/rotate'],
        ['POST', '/api/connectors/rotate-keys'],
        ['POST', '/v1/admin/encryption/rotate', { authorization: 'Bearer of-somebody' }],
        ['POST', '/v1/admin/encryption/rotate', { 'content-type': 'application/json' }, '{ no json'],
        ['POST', '/v1/admin/encryption/rotate', { 'content-type': 'text/strange' }, 'x'],
        ['DELETE', '/v1/admin/encryption'],
        ['GET', '/v1/admin/encryption/nothing'],
        ['GET', '/api/connectors/rotate-keys/nothing'],
      ] as const) {
        const answer = await ask(method, path, { ...headers }, body)
        expect({ method, path, ...answer }).toMatchObject({ status: 401, body: { status: 401, code: 'ERR_UNAUTHORIZED' } })
        expect(answer.headers.get('content-type')).toContain('application/problem+json')
        expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      }
      expect((await keyturn.status('app')).keyrings[0]?.versions).toHaveLength(1)
      expect(await eventsOf('rotation.plan')).toEqual([])
    })

    test('are behind authorize by whatever spelling of their paths they are reached, and by whatever method.', async () => {
      await start()
      const paths = ['/v1/admin/encryption', '/v1/admin/encryption/rotate', '/api/connectors/rotate-keys'].flatMap((path) => [
        path,
        `${path}/`,
        `/${path}`,
        `/x/..${path}`,
        path.replace('/v1', '/V1').toUpperCase(),
        path.replaceAll('n', '%6E'),
        path.replaceAll(/(?<=.)\//g, '%2f'),
        `${path}?x=/../`,
        `${path};x=1`,
        `${path}%00`,
        `${path}#x`,
      ])
      for (const method of ['GET', 'HEAD', 'POST'])
        for (const path of paths)
          expect({ method, path, status: await bare(method, path) }).toMatchObject({
            status: expect.toSatisfy((status) => [400, 401, 404].includes(status)),
          })
      expect((await keyturn.status()).rotations).toEqual([])
      expect(await bare('HEAD', '/v1/admin/encryption')).toBe(401)
      expect(await bare('OPTIONS', '/v1/admin/encryption/rotate')).toBe(401)
    })

    test('say what they do not know to who may ask, and read no body.', async () => {
      await start()
      expect(await ask('GET', '/v1/admin/encryption/nothing')).toMatchObject({ status: 404, body: { code: 'ERR_NOT_FOUND' } })
      const wrong = await ask('POST', '/v1/admin/encryption')
      expect(wrong).toMatchObject({ status: 405, body: { code: 'ERR_NOT_FOUND' } })
      expect(wrong.headers.get('allow')).toBe('GET')
      expect((await fetch(`${url}/elsewhere`)).status).toBe(404)
      const sent = { authorization: 'Bearer of-ada', 'content-type': 'application/json' }
      expect(await ask('POST', '/v1/admin/encryption/rotate', sent, '{ no json')).toMatchObject({ status: 200 })
    })

    test('show keys and counts, and who made each key.', async () => {
      await start()
      const answer = await ask('GET', '/v1/admin/encryption?fresh=1')
      expect(answer.status).toBe(200)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      const key = { version: 1, state: 'active', active: true, rotatedBy: 'library', createdAt: expect.any(String), retiredAt: null }
      expect(answer.body).toEqual({ activeVersion: 1, keys: [key], secrets: 4, legacy: 3 })
    })

    test('count what still needs an older key from the environment as legacy.', async () => {
      await start({ keyring: 'connectors' })
      expect(await status()).toMatchObject({ secrets: 10, legacy: 8 })
    })

    test('rotate: a new key, every value under it, the old one refused by the database, all by the actor of the request.', async () => {
      await start()
      const [old] = (await server.pool.query('SELECT value, "keyId" FROM secrets WHERE id = 4')).rows
      const answer = await ask('POST', '/v1/admin/encryption/rotate')
      expect({ ...answer, headers: null }).toEqual({ status: 200, headers: null, body: { newVersion: 2, reEncrypted: 4 } })
      expect(await status()).toMatchObject({
        activeVersion: 2,
        keys: [
          { version: 1, state: 'retired', active: false, rotatedBy: 'library', retiredAt: expect.any(String) },
          { version: 2, state: 'active', active: true, rotatedBy: 'user:ada', retiredAt: null },
        ],
        secrets: 4,
        legacy: 0,
      })
      expect(await eventsOf('admin.encryption.rotate')).toMatchObject([
        { actor: 'user:ada', subject: 'keyring/app', data: { newVersion: 2, reEncrypted: 4 } },
      ])
      for (const action of ['version.create', 'version.activate', 'rotation.plan', 'rotation.complete', 'version.retire'])
        expect([action, ...new Set((await eventsOf(action)).map(({ actor }) => actor))]).toEqual([action, 'user:ada'])
      expect((await eventsOf('rotation.plan'))[0]?.data).toMatchObject({ mode: 'transaction' })
      expect(await keyturn.audit.verify()).toMatchObject({ intact: true })
      const { rows } = await server.pool.query('SELECT value, "keyId" FROM secrets ORDER BY id')
      const field = keyturn.field('secret')
      expect(await Promise.all(rows.map((row) => field.decryptKeyed(row)))).toEqual(['older 1', 'older 2', 'older 3', 'newer 4'])
      const write = server.pool.query('UPDATE secrets SET value = $1, "keyId" = $2 WHERE id = 4', [old.value, old.keyId])
      expect(await write.catch(isFenced)).toBe(old.keyId)
    })

    test('rotate once at a time: the second one is a conflict, of this process or of another.', async () => {
      await start()
      const answers = await Promise.all([ask('POST', '/v1/admin/encryption/rotate'), ask('POST', '/v1/admin/encryption/rotate')])
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
      expect(answers.find(({ status }) => status === 409)?.body).toMatchObject({ code: 'ERR_ROTATION_RUNNING' })
      // Another process, whose rotation waits for a row.
      const client = await server.pool.connect()
      const other = await opened()
      await client.query('BEGIN; SELECT FROM secrets WHERE id = 1 FOR UPDATE')
      const running = other.rotate('app', { throttle: { share: 1 } })
      try {
        await until(async () => (await keyturn.status('app')).rotations.some(({ state }) => state === 'running'))
        const answer = await ask('POST', '/v1/admin/encryption/rotate')
        expect(answer).toMatchObject({ status: 409, body: { code: 'ERR_ROTATION_RUNNING', status: 409 } })
        expect(answer.headers.get('content-type')).toContain('application/problem+json')
      } finally {
        await client.query('ROLLBACK')
        client.release()
        await running
      }
    })

    test('do not keep a request waiting for long: it is answered 202, and the rotation goes on.', async () => {
      await start({ waitMs: 0 })
      const answer = await ask('POST', '/v1/admin/encryption/rotate')
      expect(answer.status).toBe(202)
      expect(answer.headers.get('location')).toBe('/v1/admin/encryption')
      await until(async () => (await status()).keys[0].state === 'retired')
      expect(await eventsOf('admin.encryption.rotate')).toMatchObject([{ actor: 'user:ada', data: { newVersion: 2, reEncrypted: 4 } }])
      expect(await status()).toMatchObject({ activeVersion: 2, legacy: 0 })
    })

    /** A rotation of the connectors that comes back to a row which somebody holds, until `work` has ended it. */
    const whileHeld = async (begin: () => Promise<unknown>, work: () => Promise<unknown>) => {
      const client = await server.pool.connect()
      await client.query('BEGIN; SELECT FROM connectors WHERE id = 1 FOR UPDATE')
      try {
        const begun = begin()
        await until(async () => (await keyturn.status('connectors')).rotations.some(({ state }) => state === 'running'))
        await work()
        await begun
      } finally {
        await client.query('ROLLBACK')
        client.release()
      }
    }

    test('leave a rotation when the server closes, and go on with it when asked again.', async () => {
      keyturn = await opened()
      const served = await serve({ keyturn, authorize, keyring: 'app', connectors: 'connectors', waitMs: 0 })
      url = served.url
      await whileHeld(async () => expect((await ask('POST', '/api/connectors/rotate-keys')).status).toBe(202), served.close)
      // As the process leaves it that is killed.
      const [rotation] = (await keyturn.status('connectors')).rotations
      expect(rotation).toMatchObject({ state: 'running' })
      await start()
      const answer = await ask('POST', '/api/connectors/rotate-keys')
      expect(answer).toMatchObject({ status: 200, body: { total: 5, rotated: 4, skipped: 1, failed: [] } })
      expect((await keyturn.status('connectors')).rotations).toMatchObject([{ id: rotation?.id, state: 'completed' }])
    })

    test('go on with a rotation of some fields, and then with all others.', async () => {
      await start()
      const before = await opened({ env: { ...keys, CONNECTOR_KEY: oldKey, CONNECTOR_KEY_PREVIOUS: newKey } })
      await server.pool.query('UPDATE connectors SET note = $1 WHERE id = 5', [await before.field('note').encrypt('a note')])
      const stop = new AbortController()
      const fields = ['header']
      await whileHeld(
        () => keyturn.rotate('connectors', { fields, throttle: { share: 1 }, accept: true, signal: stop.signal, handOver: true }),
        async () => stop.abort(),
      )
      expect((await keyturn.status('connectors')).rotations).toMatchObject([{ state: 'running' }])
      expect(await ask('POST', '/api/connectors/rotate-keys')).toMatchObject({ status: 200, body: { total: 5, rotated: 5, skipped: 0 } })
      expect(await keyturn.verify({ keyring: 'connectors' })).toMatchObject({ total: 11, current: 11 })
    })

    test('leave a rotation alone that somebody has paused, and name it.', async () => {
      await start()
      const other = await opened()
      let id = ''
      await whileHeld(
        () => other.rotate('connectors', { throttle: { share: 1 }, accept: true }),
        async () => {
          id = (await other.status('connectors')).rotations[0]?.id ?? ''
          await other.pause(id)
        },
      )
      const answer = await ask('POST', '/api/connectors/rotate-keys')
      expect(answer).toMatchObject({
        status: 409,
        body: { code: 'ERR_ROTATION_RUNNING', detail: expect.stringContaining(`${id}, in state paused`) },
      })
      expect((await keyturn.status('connectors')).rotations).toMatchObject([{ id, state: 'paused' }])
      expect((await other.resume(id)).state).toBe('completed')
      expect(await ask('POST', '/api/connectors/rotate-keys')).toMatchObject({ status: 200, body: { total: 5, rotated: 0 } })
    })

    test('say below which path they stand where they answer with an address.', async () => {
      await start({ waitMs: 0, prefix: '/internal' })
      url = `${url}/internal`
      expect((await ask('POST', '/v1/admin/encryption/rotate')).headers.get('location')).toBe('/internal/v1/admin/encryption')
      await until(async () => (await status()).keys[0].state === 'retired')
    })

    test('rewrite the documents of connectors, and count documents.', async () => {
      await start()
      expect(await ask('POST', '/api/connectors/rotate-keys')).toMatchObject({
        status: 200,
        body: { total: 5, rotated: 4, skipped: 1, failed: [] },
      })
      const alone = await opened({ env: { ...keys, CONNECTOR_KEY_PREVIOUS: undefined } })
      expect(await alone.verify({ keyring: 'connectors' })).toMatchObject({ total: 10, current: 10 })
      expect((await eventsOf('rotation.complete')).map(({ actor }) => actor)).toEqual(['user:ada'])
    })

    test('list the documents whose values do not open, once each and without a value.', async () => {
      await start()
      const broken = `${'00'.repeat(12)}:${'11'.repeat(16)}:22`
      await server.pool.query(
        `UPDATE connectors SET config = jsonb_set(jsonb_set(config, '{headers,0,value}', $1), '{headers,1,value}', $1) WHERE id = 2`,
        [JSON.stringify(broken)],
      )
      const { status, body } = await ask('POST', '/api/connectors/rotate-keys')
      expect({ status, body }).toEqual({
        status: 200,
        body: { total: 5, rotated: 3, skipped: 1, failed: [{ table: 'connectors', row: { id: '2' }, reason: 'ERR_DECRYPT' }] },
      })
    })

    test('say nothing of an error that is not Keyturn’s.', async () => {
      await start({
        authorize: () => {
          throw new Error('postgres://user:password@host')
        },
      })
      const answer = await ask('GET', '/v1/admin/encryption')
      expect(answer).toMatchObject({ status: 500, body: { code: 'ERR_UNEXPECTED' } })
      expect(JSON.stringify(answer.body)).not.toContain('password')
    })

    test('are refused without authorize, and where it is not said which keyring they are for.', async () => {
      await expect(start({ authorize: undefined as never })).rejects.toMatchObject({ code: 'ERR_USAGE' })
      await expect(start({ keyring: undefined as never })).rejects.toMatchObject({ code: 'ERR_USAGE' })
      await expect(start({ keyring: 'nothing' })).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
    })

    test('say in one line that encryption is ready, and close what they opened.', async () => {
      const lines: string[] = []
      let closed = 0
      const openOwn = async () => {
        const own = await open(config, { pool: server.pool, env: keys, warn: () => {} })
        const close = own.close.bind(own)
        own.close = async () => {
          closed++
          await close()
        }
        return own
      }
      const served = await serve({ keyturn: openOwn, authorize, keyring: 'app', connectors: 'app', onReady: (line) => lines.push(line) })
      expect(lines).toEqual(['encryption is ready: keyring "app", version 1 active'])
      await served.close()
      expect(closed).toBe(1)
      await expect(serve({ keyturn: openOwn, authorize, keyring: 'nothing' })).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
      expect(closed).toBe(2)
    })
  })

  describe(`A service on ${framework}`, () => {
    const startServing = (ROOT: string | undefined) =>
      startChild('test/adapters/serving-child.ts', [framework], { env: { DATABASE_URL: server.url, ROOT } })

    test('does not listen without its keys, and its process ends with 1.', async () => {
      const { code, stdout, stderr } = await startServing(undefined).exit
      expect({ code, stdout, says: stderr.includes('ERR_ENV_MISSING') }).toEqual({ code: 1, stdout: '', says: true })
    })

    test('listens with them; the configuration is there for its own routes, and the admin routes stand below a path too.', async () => {
      const child = startServing(keys.ROOT)
      await child.printed('listening at ')
      const [, url] = /listening at (\S+)/.exec(child.stdout) ?? []
      expect((await fetch(`${url}/internal/v1/admin/encryption`)).status).toBe(401)
      const answer = await fetch(`${url}/internal/v1/admin/encryption`, { headers: { authorization: 'yes' } })
      expect(await answer.json()).toMatchObject({ activeVersion: 1, secrets: 0 })
      expect(await (await fetch(`${url}/of-the-application`)).text()).toBe('keyring app')
      child.end()
      expect((await child.exit).code).toBe(0)
    })
  })
}
