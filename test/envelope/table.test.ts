import type { Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Config, TableKeyringConfig } from '../../packages/core/src/config/config.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { type OpenOptions, open } from '../../packages/core/src/open.ts'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { createPglite } from '../harness/pglite.ts'
import { useDatabase } from '../harness/postgres.ts'
import { config, fast, fillOld, keys, oldHost, tables } from './world.ts'

const server = useDatabase()
const opened: Keyturn[] = []
const warnings: string[] = []
beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS secrets, encryption_keys')
  await server.pool.query(tables)
  warnings.length = 0
})
afterEach(async () => {
  for (const keyturn of opened.splice(0)) await keyturn.close()
})
const start = async (more: Partial<OpenOptions> = {}, given: Config = config) => {
  const keyturn = await open(given, { pool: server.pool, env: keys, leaseMs: 2_000, warn: (sentence) => warnings.push(sentence), ...more })
  opened.push(keyturn)
  return keyturn
}
const row = async (id: number) => {
  const { rows } = await server.pool.query('SELECT value, "keyId" FROM secrets WHERE id = $1', [id])
  return rows[0] as { value: string; keyId: string | null }
}
const keyIds = async () => {
  const { rows } = await server.pool.query('SELECT DISTINCT "keyId" AS id FROM secrets ORDER BY 1')
  return rows.map(({ id }) => id as string | null)
}
const groups = async (keyturn: Keyturn) =>
  (await keyturn.census()).fields[0]?.groups.map(({ keyId, values, current }) => [keyId, values, current])

describe('an existing table of keys', () => {
  test('values of three kinds open, are counted by their key, and are all moved by one rotation', async () => {
    await fillOld(server.pool, 60)
    const keyturn = await start()
    const field = keyturn.field('server.secret')
    expect(await field.decryptKeyed(await row(1))).toBe('secret 1')
    expect(await field.decryptKeyed(await row(3))).toBe('secret 3')
    expect(await field.decryptKeyed(await row(0))).toBe('to know its key')
    const written = await field.encryptKeyed('written by the new host')
    expect(written.keyId).toMatch(/^[a-z2-7]{8}$/)
    await server.pool.query('INSERT INTO secrets VALUES (100, $1, $2, $3)', ['new', written.value, written.keyId])
    expect(await groups(keyturn)).toEqual([
      [written.keyId, 1, true],
      ['2', 40, false],
      ['SECRETS_ENCRYPTION_KEY', 20, false],
      ['1', 1, false],
    ])
    const status = (await keyturn.status('old')).keyrings[0]
    expect(status).toMatchObject({ kind: 'table', due: [], fields: [] })
    expect(status?.versions.map(({ id, number, state, createdAt }) => [id, number, state, typeof createdAt])).toEqual([
      ['1', 1, 'retiring', 'string'],
      ['2', 2, 'retiring', 'string'],
    ])
    const plan = await keyturn.plan('app')
    expect(plan.fields[0]).toMatchObject({ sampled: 62, opened: 62, current: 1 })
    expect(plan.facts['keyring "old": key versions']).toBe('1 retiring, 2 retiring')

    const result = await keyturn.rotate('app', fast)
    expect(result).toMatchObject({ state: 'completed', total: 62, rotated: 62, failedCount: 0 })
    expect(result.certificate).not.toBeNull()
    expect(await keyturn.verify()).toMatchObject({ total: 62, current: 62, other: 0, failedCount: 0 })
    const [active] = await keyIds()
    expect(await keyIds()).toEqual([active])
    expect(await groups(keyturn)).toEqual([[active, 62, true]])
    expect(await field.decryptKeyed(await row(1))).toBe('secret 1')
    expect(await field.decryptKeyed(await row(3))).toBe('secret 3')
    expect(await field.decryptKeyed(await row(100))).toBe('written by the new host')
  })

  test('a rotation in one transaction moves them too, and holds nothing: the key id says which key a value has', async () => {
    await fillOld(server.pool, 30)
    const keyturn = await start()
    const result = await keyturn.rotate('app', { ...fast, mode: 'transaction' })
    expect(result).toMatchObject({ state: 'completed', total: 31, rotated: 31 })
    expect((await keyturn.status()).holds).toEqual([])
    const { value, keyId } = await keyturn.field('server.secret').encryptKeyed('right after it')
    await server.pool.query('INSERT INTO secrets VALUES (200, $1, $2, $3)', ['new', value, keyId])
    expect(await keyturn.verify()).toMatchObject({ total: 32, current: 32 })
  })

  test('its keys are read and nothing else: no field writes with it, no version of it can be made, moved or retired', async () => {
    await fillOld(server.pool, 3)
    const keyturn = await start()
    await expect(keyturn.rotate('old')).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(keyturn.rewrap('old')).rejects.toThrow('in a table of the application')
    await expect(keyturn.retire('old')).rejects.toMatchObject({ code: 'ERR_FENCE_NONE' })
    const { rows } = await server.pool.query('SELECT version, active FROM encryption_keys ORDER BY 1')
    expect(rows).toEqual([
      { version: 1, active: false },
      { version: 2, active: true },
    ])
    const wrong = { ...config, fields: { f: { column: 'secrets.value', keyring: 'old' } } }
    await expect(start({}, wrong)).rejects.toThrow('only decrypt')
  })

  test('an instance of the old host writes during the rotation, also under a key that it makes meanwhile: nothing is lost', async () => {
    await fillOld(server.pool, 300)
    const keyturn = await start()
    const host = oldHost(server.pool)
    const written = new Map<number, string>()
    // The old host makes a key once the rotation has begun, and is stopped once it has used it for some time.
    let begun = () => {}
    const running = new Promise<void>((resolve) => {
      begun = resolve
    })
    const writing = (async () => {
      await running
      for (let n = 0; n < 60; n++) {
        if (n === 20) await host.makeKey(3)
        const id = 1 + ((n * 37) % 300)
        const { value, keyId } = n % 5 === 0 ? host.encryptLegacy(`old ${n}`) : await host.encryptSecret(`old ${n}`)
        await server.pool.query('UPDATE secrets SET value = $2, "keyId" = $3 WHERE id = $1', [id, value, keyId])
        written.set(id, `old ${n}`)
      }
    })()
    const rotating = keyturn.rotate('app', { throttle: { targetMs: 0.001, share: 0.5 }, onProgress: begun })
    const [{ id, state }] = await Promise.all([rotating, writing])
    const result = state === 'waiting' ? await keyturn.resume(id, fast) : await keyturn.rotate('app', fast)
    expect(result).toMatchObject({ state: 'completed', failedCount: 0 })
    expect(await keyturn.verify()).toMatchObject({ total: 301, current: 301, failedCount: 0 })
    const field = keyturn.field('server.secret')
    for (const [key, text] of written) expect(await field.decryptKeyed(await row(key))).toBe(text)
    expect(written.size).toBe(60)
    expect((await keyturn.status('old')).keyrings[0]?.versions.map(({ id: version }) => version)).toContain('3')
  })

  test('a read of an id that is not known reads the table once more; an id that is nobody’s is refused, without its text', async () => {
    await fillOld(server.pool, 3)
    const keyturn = await start()
    const field = keyturn.field('server.secret')
    const host = oldHost(server.pool)
    await host.makeKey(7)
    expect(await field.decryptKeyed(await host.encryptSecret('under a new key'))).toBe('under a new key')
    const { value } = await host.encryptSecret('x')
    for (const keyId of ['8', 'sk-live-0123456789', '2', "'; DROP TABLE secrets; --", 'x'.repeat(100)]) {
      const error: Error = await field.decryptKeyed({ value, keyId }).then(
        () => Promise.reject(new Error(`it opened under ${keyId}`)),
        (thrown) => thrown,
      )
      expect(error).toMatchObject({ code: keyId === '2' ? 'ERR_DECRYPT' : 'ERR_KEY_NOT_FOUND' })
      if (keyId.length > 1) expect(error.message).not.toContain(keyId)
    }
    expect(() => field.open(value, [], '8')).toThrow('is not loaded in this process')
  })

  test('Attack: a key id that is taken away or exchanged. The value is not opened by trying.', async () => {
    await fillOld(server.pool, 3)
    const keyturn = await start()
    const field = keyturn.field('server.secret')
    const [under2, legacy] = [await row(1), await row(3)]
    for (const attempt of [
      { ...under2, keyId: null },
      { ...under2, keyId: '1' },
      { ...legacy, keyId: '2' },
    ])
      await expect(field.decryptKeyed(attempt)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    // A row of the table of keys that takes the id of a key of ours does not take its place.
    const own = await field.encryptKeyed('ours')
    await server.pool.query(`ALTER TABLE encryption_keys ALTER version TYPE text USING version::text`)
    await server.pool.query(
      `INSERT INTO encryption_keys (version, "wrappedDek") SELECT $1, "wrappedDek" FROM encryption_keys WHERE version = '2'`,
      [own.keyId],
    )
    const again = await start()
    expect(await again.field('server.secret').decryptKeyed(own)).toBe('ours')
    await expect(again.field('server.secret').decryptKeyed({ value: under2.value, keyId: own.keyId })).rejects.toMatchObject({
      code: 'ERR_DECRYPT',
    })
  })
})

describe('damage', () => {
  test('a key that does not open is told at the start; its values are set aside with their rows, and all others move', async () => {
    await fillOld(server.pool, 30)
    const whole = await server.pool.query('SELECT "wrappedDek" FROM encryption_keys WHERE version = 1')
    await server.pool.query(`UPDATE encryption_keys SET "wrappedDek" = overlay("wrappedDek" placing 'AAAA' from 30) WHERE version = 1`)
    const keyturn = await start()
    expect(warnings).toEqual([expect.stringMatching(/^keyring "old": keys that do not open under SECRETS_ENCRYPTION_KEY: 1\./)])
    await expect(keyturn.rotate('app', fast)).rejects.toMatchObject({ code: 'ERR_SAMPLE_SHARE' })
    const result = await keyturn.rotate('app', { ...fast, accept: true })
    expect(result).toMatchObject({ state: 'completed', total: 31, rotated: 30, failedCount: 1 })
    expect(result.failed).toEqual([{ field: 'server.secret', row: { id: '0' }, reason: 'ERR_KEY_NOT_FOUND' }])
    expect((await row(0)).keyId).toBe('1')
    await server.pool.query('UPDATE encryption_keys SET "wrappedDek" = $1 WHERE version = 1', [whole.rows[0].wrappedDek])
    const mended = await start()
    expect(await mended.rotate('app', fast)).toMatchObject({ state: 'completed', rotated: 31, failedCount: 0 })
    expect(await mended.field('server.secret').decryptKeyed(await row(0))).toBe('to know its key')
  })

  test('a value that was damaged, one whose key was deleted and one with a made-up id stay as they are', async () => {
    await fillOld(server.pool, 30)
    await server.pool.query(`UPDATE secrets SET value = overlay(value placing 'AAAA' from 30) WHERE id = 4`)
    await server.pool.query(`UPDATE secrets SET "keyId" = 'made-up' WHERE id = 5`)
    await server.pool.query('DELETE FROM encryption_keys WHERE version = 1')
    const before = [await row(0), await row(4), await row(5)]
    const keyturn = await start()
    const result = await keyturn.rotate('app', { ...fast, accept: true })
    expect(result.failed.map(({ row: { id }, reason }) => [id, reason])).toEqual([
      ['0', 'ERR_KEY_NOT_FOUND'],
      ['4', 'ERR_DECRYPT'],
      ['5', 'ERR_KEY_NOT_FOUND'],
    ])
    expect([await row(0), await row(4), await row(5)]).toEqual(before)
    expect(await keyturn.verify()).toMatchObject({ total: 31, current: 28, failedCount: 3, setAside: 3 })
  })

  test.each([
    ['another key than the one that wraps', {}, { ...keys, SECRETS_ENCRYPTION_KEY: '77'.repeat(32) }, 'ERR_ROOT_KEY'],
    ['no key', {}, { ROOT: keys.ROOT }, 'ERR_ENV_MISSING'],
    ['a table that is not there', { table: 'no_such_table' }, keys, 'ERR_CONFIG'],
    ['a schema that is not there', { table: 'nowhere.encryption_keys' }, keys, 'ERR_CONFIG'],
    ['a column that is not there', { columns: { id: 'version', wrapped: 'nothing' } }, keys, 'ERR_CONFIG'],
    ['an id that is none', { columns: { id: 'wrappedDek', wrapped: 'wrappedDek' } }, keys, 'ERR_CONFIG'],
    ['an id that stands twice', { columns: { id: 'rotatedBy', wrapped: 'wrappedDek' } }, keys, 'ERR_CONFIG'],
    ['a column that holds no key', { columns: { id: 'version', wrapped: 'active' } }, keys, 'ERR_CONFIG'],
    ['another format', { wrapped: 'hex-colon' }, keys, 'ERR_ROOT_KEY'],
    ['another form of the key', { unwrapped: 'hex' as const }, keys, 'ERR_ROOT_KEY'],
  ])('%s stops the start, and leaves nothing behind', async (_, change, env, code) => {
    await fillOld(server.pool, 3)
    const { old } = config.keyrings
    const wrong = { ...config, keyrings: { ...config.keyrings, old: { ...old, ...change } as TableKeyringConfig } }
    await expect(start({ env }, wrong)).rejects.toMatchObject({ code })
    const { rows } = await server.pool.query(`SELECT 1 FROM pg_namespace WHERE nspname = 'keyturn'`)
    expect(rows).toEqual([])
  })

  test('a table without keys is legal, as long as nothing names one; a key that was erased opens nothing and stops nothing', async () => {
    await server.pool.query('INSERT INTO secrets VALUES (1, $1, $2, NULL)', ['x', oldHost(server.pool).encryptLegacy('older').value])
    const keyturn = await start()
    expect(await keyturn.field('server.secret').decryptKeyed(await row(1))).toBe('older')
    const host = oldHost(server.pool)
    await host.makeKey(1)
    const pair = await host.encryptSecret('gone')
    await host.makeKey(2)
    await server.pool.query('UPDATE encryption_keys SET "wrappedDek" = NULL WHERE version = 1')
    const later = await start()
    await expect(later.field('server.secret').decryptKeyed(pair)).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
    expect((await later.status('old')).keyrings[0]?.versions.map(({ state }) => state)).toEqual(['destroyed', 'retiring'])
    expect(warnings).toEqual([])
  })
})

test('after the move a key of ours is retired: the database refuses its id, and a writer with an old keyring is told so', async () => {
  await fillOld(server.pool, 30)
  const keyturn = await start()
  const field = keyturn.field('server.secret')
  const late = await field.encryptKeyed('sealed before')
  await keyturn.rotate('app', fast)
  const [retirement] = await keyturn.retire('app', fast)
  expect(retirement).toMatchObject({ versionId: late.keyId, accepted: 0 })
  expect(retirement?.fences.map(({ column, validated }) => [column, validated])).toContainEqual(['keyId', true])
  expect(retirement?.fences.every(({ validated }) => validated)).toBe(true)
  expect(retirement?.certificate).not.toBeNull()
  const writing = server.pool.query('INSERT INTO secrets VALUES (500, $1, $2, $3)', ['late', late.value, late.keyId])
  await expect(writing.catch((error) => Promise.reject(new Error(isFenced(error) ?? 'something else')))).rejects.toThrow(late.keyId)
  expect(await keyturn.verify()).toMatchObject({ current: 31, fences: { missing: [] } })
  // What still names a key of the table is no value of the retired one: an instance of the old host can be found by the census.
  const { value, keyId } = await oldHost(server.pool).encryptSecret('from an old instance')
  await server.pool.query('INSERT INTO secrets VALUES (501, $1, $2, $3)', ['old', value, keyId])
  expect(await groups(keyturn)).toEqual([
    [expect.any(String), 31, true],
    ['2', 1, false],
  ])
  expect(await keyturn.verify()).toMatchObject({ current: 31, other: 1 })
})

test('keys that are bytes in the table, or texts that mean a key, open as well', async () => {
  const host = oldHost(server.pool)
  await host.makeKey(1)
  const pair = await host.encryptSecret('in bytes')
  await server.pool.query(`ALTER TABLE encryption_keys ALTER "wrappedDek" TYPE bytea USING decode("wrappedDek", 'base64')`)
  const keyturn = await start()
  expect(await keyturn.field('server.secret').decryptKeyed(pair)).toBe('in bytes')
})

test('on PGlite the table is read as well, and its values move', async () => {
  const pglite = await createPglite()
  await pglite.exec(tables)
  const pool = { query: (text: string, values?: unknown[]) => pglite.query(text, values) } as unknown as Pick<Pool, 'query'>
  await fillOld(pool, 9)
  const keyturn = await start({ pglite, pool: undefined as never })
  expect(await keyturn.rotate('app', fast)).toMatchObject({ state: 'completed', rotated: 10, failedCount: 0 })
  expect(await keyturn.verify()).toMatchObject({ total: 10, current: 10 })
  await opened.pop()?.close()
  await pglite.close()
})
