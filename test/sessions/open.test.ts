import { randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { type OpenOptions, open } from '../../packages/core/src/open.ts'
import { certificateText, checkCertificate } from '../../packages/core/src/rotation/certificate.ts'
import { signingKey } from '../../packages/core/src/signing/signing-key.ts'
import { createFolder, runCommand } from '../harness/command.ts'
import { useDatabase } from '../harness/postgres.ts'
import { useRedis } from '../harness/redis.ts'
import { insertOld } from '../rotation/world.ts'
import { contents } from './world.ts'

const redis = await useRedis()
const environment = { ROOT: 'ab'.repeat(32), OLD: '11'.repeat(32), SIGNING_KEY: 'c3'.repeat(32) }

describe.skipIf(redis.missing)('A keyring with fields in Postgres and in Redis', () => {
  const server = useDatabase()
  const { client, prefix, url } = redis
  const config = defineConfig({
    database: env('DATABASE_URL'),
    redis: env('REDIS_URL'),
    refreshMs: 400,
    signing: { key: env('SIGNING_KEY') },
    keyrings: { app: { root: env('ROOT') } },
    fields: {
      'session.tokens': { column: `redis:${prefix}*:/tokens/*`, keyring: 'app', bind: ['key'] },
      'tokens.token': { column: 'tokens.token', keyring: 'app', bind: ['id'], reads: [{ codec: 'hex-colon', key: env('OLD') }] },
    },
  })
  const end = Date.now() + 86_400_000
  const ids = Array.from({ length: 60 }, (_, n) => `sid-${n}-${randomBytes(9).toString('base64url')}`)

  async function opened<T>(work: (keyturn: Keyturn<typeof config>) => Promise<T>, options: Partial<OpenOptions> = {}): Promise<T> {
    const keyturn = await open(config, { pool: server.pool, redis: client, env: environment, warn: () => {}, ...options })
    try {
      return await work(keyturn)
    } finally {
      await keyturn.close()
    }
  }

  beforeEach(async () => {
    await server.pool.query(
      'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens; CREATE TABLE tokens (id bigint PRIMARY KEY, token text)',
    )
    await insertOld(server.pool, 'tokens', 30)
    for (const id of (await contents(client, prefix)).keys()) await client.del(prefix + id)
    await client.del(`${prefix}list`)
    await opened(async (keyturn) => {
      const field = keyturn.field('session.tokens')
      for (const id of ids) {
        const bound = { key: prefix + id }
        const tokens = { access: await field.encrypt(`access ${id}`, bound), refresh: await field.encrypt(`refresh ${id}`, bound) }
        await client.call('SET', prefix + id, JSON.stringify({ cookie: {}, tokens }), 'PXAT', String(end))
      }
    })
  })

  test('rotates both online, and says so in plan, result, verification, census and certificate', async () => {
    await opened(async (keyturn) => {
      const plan = await keyturn.plan('app')
      expect(plan.tables.map(({ table, rows }) => [table, rows])).toEqual([
        ['public.tokens', 30],
        [`redis:${prefix}*`, ids.length],
      ])
      expect(plan.fields[1]).toMatchObject({ column: `redis:${prefix}*:/tokens/*`, bound: ['key'], opened: 120, sampled: 120 })
      expect(plan.warnings.join('\n')).toContain(`table "redis:${prefix}*": Redis cannot refuse an old key`)
      const result = await keyturn.rotate('app', { throttle: { share: 1 } })
      expect(result).toMatchObject({ state: 'completed', rotated: 150, rows: 90, tables: 2, failedCount: 0 })
      const field = keyturn.field('session.tokens')
      const found = await contents(client, prefix)
      for (const id of ids) {
        const { text, end: ends } = found.get(id)!
        const { tokens } = JSON.parse(text)
        expect(ends).toBe(end)
        expect(await field.decrypt(tokens.refresh, { key: prefix + id })).toBe(`refresh ${id}`)
        expect(tokens.access).toContain(field.keyring.snapshot.active.id)
      }
      // A value of another session does not open in this one.
      const stolen = JSON.parse(found.get(ids[0]!)!.text).tokens.access
      await expect(field.decrypt(stolen, { key: prefix + ids[1] })).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
      expect(await keyturn.verify()).toMatchObject({ total: 150, current: 150, failedCount: 0 })
      expect((await keyturn.census()).fields[0]).toMatchObject({
        field: 'session.tokens',
        total: 120,
        groups: [{ values: 120, current: true }],
      })
      const { publicKey } = signingKey(environment.SIGNING_KEY, 'SIGNING_KEY')
      const { claim } = checkCertificate(certificateText(result.certificate!), publicKey.pem)
      expect(claim).toMatchObject({ complete: true, fence: 'none', lives: { keys: ids.length, withoutEnd: 0 } })
      const until = Date.parse((claim as unknown as { lives: { until: string } }).lives.until)
      expect(until).toBeGreaterThanOrEqual(end)
      expect(until).toBeLessThan(end + 5_000)
    })
  })

  test('is not retired and has no part in a transaction: both are refused with a sentence, and nothing changes', async () => {
    await opened(async (keyturn) => {
      await expect(keyturn.rotate('app', { mode: 'transaction' })).rejects.toMatchObject({ code: 'ERR_USAGE' })
      await keyturn.rotate('app', { throttle: { share: 1 } })
      await expect(keyturn.retire('app')).rejects.toMatchObject({ code: 'ERR_FENCE_NONE', message: expect.stringContaining('Redis') })
      await expect(keyturn.verify()).resolves.toMatchObject({ current: 150, fences: { missing: [] } })
    })
  })

  test('leaves what is no session of its own as it is: listed by a keyed hash, counted, and nothing of it lost', async () => {
    const bad: Record<string, Buffer> = {
      'not-json-4711': Buffer.from('a:1:{s:4:"user"}'),
      'binary-4711': Buffer.from([0x7b, 0xff, 0xfe, 0x00]),
      'empty-4711': Buffer.from(''),
      'other-type-4711': Buffer.from('{"tokens":{"access":17}}'),
      'not-ours-4711': Buffer.from('{"tokens":{"access":"kt1.aaaaaaaa.AAAA"}}'),
      'moved-here-4711': Buffer.from(await client.get(prefix + ids[0]!).then((text) => text!)),
    }
    for (const [id, value] of Object.entries(bad)) await client.set(prefix + id, value)
    await client.rpush(`${prefix}list`, 'a', 'b')
    const foreign = '{"another":"application","tokens":null}'
    await client.set(`${prefix}foreign`, foreign)
    const told: string[] = []
    await opened(async (keyturn) => {
      const result = await keyturn.rotate('app', {
        throttle: { share: 1 },
        accept: true,
        onProgress: (report) => told.push(JSON.stringify(report)),
      })
      expect(result).toMatchObject({ state: 'completed', rotated: 150, failedCount: 8 })
      expect(result.failed.map(({ reason }) => reason).sort()).toEqual([
        'ERR_DECRYPT',
        'ERR_DECRYPT',
        'ERR_DECRYPT',
        'ERR_DOCUMENT',
        'ERR_DOCUMENT',
        'ERR_DOCUMENT',
        'ERR_DOCUMENT',
        'ERR_DOCUMENT',
      ])
      for (const { row } of result.failed) expect(row).toEqual({ key: expect.stringMatching(/^hmac:[0-9a-f]{16}$/) })
      for (const [id, value] of Object.entries(bad)) expect(Buffer.compare((await client.getBuffer(prefix + id))!, value)).toBe(0)
      expect([await client.lrange(`${prefix}list`, 0, -1), await client.get(`${prefix}foreign`)]).toEqual([['a', 'b'], foreign])
      expect(await keyturn.verify()).toMatchObject({ current: 150, failedCount: 8, setAside: 8 })
      told.push(JSON.stringify([result, await keyturn.plan('app'), await keyturn.status(), await keyturn.certificates()]))
      for await (const event of keyturn.audit.events()) told.push(JSON.stringify(event))
    })
    const { rows } = await server.pool.query(`SELECT row_to_json(r)::text AS text FROM keyturn.rotation r
      UNION ALL SELECT row_to_json(s)::text FROM keyturn.set_aside s`)
    const everything = [...told, ...rows.map(({ text }) => String(text))].join('\n')
    expect(everything).toContain('hmac:')
    for (const id of [...ids, ...Object.keys(bad)]) expect(everything).not.toContain(id)
  })

  test('opens without Redis, for an application that only encrypts; what walks it is refused', async () => {
    await opened(
      async (keyturn) => {
        const field = keyturn.field('session.tokens')
        expect(await field.decrypt(await field.encrypt('x', { key: 'a' }), { key: 'a' })).toBe('x')
        for (const work of [() => keyturn.rotate('app'), () => keyturn.verify(), () => keyturn.sessions.count()])
          await expect(work()).rejects.toMatchObject({ code: 'ERR_USAGE', message: expect.stringContaining('{ redis }') })
      },
      { redis: undefined as never },
    )
  })

  test('the command rotates, verifies, and ends all sessions on purpose, of the declared pattern only', async () => {
    const other = `other-${prefix}1`
    await client.set(other, 'stays', 'EX', 600)
    const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify(config) })
    const options = { cwd, env: { ...environment, DATABASE_URL: server.url, REDIS_URL: url } }
    const planned = await runCommand(['plan', 'app'], options)
    expect([planned.code, planned.stderr, planned.stdout]).toEqual([0, '', expect.stringContaining(`redis:${prefix}*:/tokens/*`)])
    expect(await runCommand(['rotate', 'app', '--yes', '--max', '--json'], options)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"rotated":150'),
    })
    expect((await runCommand(['verify', 'app'], options)).code).toBe(0)
    expect((await runCommand(['status'], options)).code).toBe(0)
    expect(await runCommand(['sessions', 'end'], options)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
    const wrong = await runCommand(['sessions', 'end'], { ...options, isTTY: true, stdin: '59\n' })
    expect([wrong.code, wrong.stdout, wrong.stderr]).toEqual([
      2,
      'Nothing was changed.\n',
      expect.stringContaining(`${prefix}*: 60 sessions`),
    ])
    expect((await contents(client, prefix)).size).toBe(60)
    const ended = await runCommand(['sessions', 'end', '--field', 'session.tokens'], { ...options, isTTY: true, stdin: '60\n' })
    expect([ended.code, ended.stdout]).toEqual([0, `${prefix}*: 60 sessions ended.\n`])
    expect([(await contents(client, prefix)).size, await client.get(other)]).toEqual([0, 'stays'])
    await client.del(other)
    const again = await runCommand(['sessions', 'end', '--yes', '--json'], options)
    expect([again.code, again.stdout]).toEqual([0, `${JSON.stringify({ sessions: [{ pattern: `${prefix}*`, sessions: 0 }] })}\n`])
    await opened(async (keyturn) => {
      const events = []
      for await (const { action, subject, data } of keyturn.audit.events())
        if (action.startsWith('sessions')) events.push([action, subject, data])
      expect(events.slice(0, 2)).toEqual([
        ['sessions.end', `redis/${prefix}*`, { sessions: 60 }],
        ['sessions.ended', `redis/${prefix}*`, { sessions: 60, all: true }],
      ])
      expect(await keyturn.audit.verify()).toMatchObject({ intact: true })
    })
    expect(await runCommand(['sessions', 'end', '--yes', '--field', 'tokens.token'], options)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('does not stand in Redis'),
    })
    expect(await runCommand(['verify', 'app', '--redis', 'redis://127.0.0.1:1'], options)).toMatchObject({
      stderr: expect.stringContaining('connecting to Redis'),
    })
  })
})

test('a place in Redis that cannot be is refused with a sentence', async () => {
  const { validateConfig } = await import('../../packages/core/src/config/validate.ts')
  const complaint = (more: object, others: object = {}) => {
    const fields = { a: { column: 'redis:app:s:*:/t', keyring: 'k', ...more }, ...others }
    try {
      validateConfig({ keyrings: { k: { root: env('ROOT') } }, fields })
      return null
    } catch (error) {
      return (error as Error).message
    }
  }
  expect(complaint({})).toBeNull()
  expect(complaint({ bind: ['key'] })).toBeNull()
  expect(complaint({ column: 'redis:*' })).toContain('keys of every name')
  expect(complaint({ bind: ['id'] })).toContain('fields.a.bind')
  expect(complaint({ keyId: 'id', writes: 'hex-colon' })).toContain('fields.a.keyId')
  expect(complaint({ sensitive: ['key'] })).toContain('fields.a.sensitive')
  expect(complaint({ insertedFirst: true })).toContain('fields.a.insertedFirst')
  expect(complaint({}, { b: { column: 'redis:app:*:/t', keyring: 'k' } })).toContain('field "a" may stand at the same place')
  expect(complaint({}, { b: { column: 'redis:app:*:/u', keyring: 'k' } })).toBeNull()
  expect(complaint({}, { b: { column: 'redis:b:*:/t', keyring: 'k' } })).toBeNull()
})
