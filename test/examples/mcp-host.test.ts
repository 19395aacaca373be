import { describe, expect, test } from 'vitest'
import { ensureActiveKey } from '../../examples/mcp-host/src/encryption.ts'
import local from '../../packages/core/src/key-wrappers/local.ts'
import { useRedis } from '../harness/redis.ts'
import type { Host } from './mcp-host/application.ts'
import { fillOlder, seal, unseal, unsealBytes } from './mcp-host/older-host.ts'
import { everythingInDatabase, useHost } from './mcp-host/world.ts'
import { documentedScripts, readProcedure } from './procedure.ts'

const redis = await useRedis()

describe.skipIf(redis.missing)('MCP host', () => {
  const host = useHost(redis)
  const kek = host.key()
  const one = { SECRETS_ENCRYPTION_KEY: kek }
  const ready = (line: string) => `encryption is ready: keyring "secrets", version ${line} active`
  const said = ({ log }: Host) => log().flatMap(({ msg }) => (msg?.startsWith('encryption is ready') ? [msg] : []))
  const accepted = { state: 'completed', status: 200 }
  const status = async () => (await host.ask('GET', '/v1/admin/encryption')).body
  const rotate = (asking?: { token: string }, through?: Host) =>
    through === undefined ? host.ask('POST', '/v1/admin/encryption/rotate') : through.ask('POST', '/v1/admin/encryption/rotate', asking)
  const rootOf = (key: string) => local({ key }).rootId
  const query = async (text: string, values: unknown[] = []) => (await host.server.pool.query(text, values)).rows
  /** The library in this process, on the database of the host. */
  async function withLibrary<T>(work: (library: Awaited<ReturnType<typeof ensureActiveKey>>) => Promise<T>): Promise<T> {
    const keys = { kms: false, kek: true, previousKek: false, refreshMs: 100, certified: false }
    const library = await ensureActiveKey({ keys, pool: host.server.pool, warn: () => {}, env: one })
    try {
      return await work(library)
    } finally {
      await library.keyturn.close()
    }
  }

  test('M1 The KEK is 32 bytes from SECRETS_ENCRYPTION_KEY and stands nowhere in the database; a secret is under a data key of 32 random bytes, which is stored wrapped', async () => {
    const refused = { code: 1, message: expect.stringContaining('SECRETS_ENCRYPTION_KEY') }
    for (const key of [undefined, kek.slice(2)]) expect(await host.refused({ SECRETS_ENCRYPTION_KEY: key })).toEqual(refused)

    await host.serve(one)
    const { credential } = await host.addServer()
    const [stored] = await host.storedSecrets()
    const [{ number, wrapped, root }] = await query(
      `SELECT v.number, w.wrapped, w.root_id AS root FROM keyturn.key_version v JOIN keyturn.key_wrapping w USING (id) WHERE v.id = $1`,
      [stored?.keyId],
    )
    const dek = await local({ key: kek }).unwrap(wrapped, associatedData(root, stored?.keyId ?? '', number))
    expect(dek).toHaveLength(32)
    expect(unseal(dek, stored?.value ?? '')).toBe(`Bearer ${credential}`)
    // The KEK itself opens nothing but keys.
    expect(() => unseal(Buffer.from(kek, 'hex'), stored?.value ?? '')).toThrow()
    const everything = await everythingInDatabase(host.server.pool)
    expect(everything).toContain(stored?.value)
    for (const key of [Buffer.from(kek, 'hex'), Buffer.from(dek)])
      for (const encoding of ['hex', 'base64', 'base64url'] as const) expect(everything).not.toContain(key.toString(encoding))
    expect(everything).not.toContain(credential)
    // The table in which the host had its keys is there, as it was.
    const columns = await query(
      `SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'encryption_keys' ORDER BY ordinal_position`,
    )
    expect(columns.map(({ name }) => name)).toEqual(['version', 'wrappedDek', 'active', 'rotatedBy', 'createdAt', 'retiredAt'])
  })

  test('M1 The KEK itself is changed, as the README has it: secrets and data keys stay as they are, and the old KEK opens nothing', async () => {
    const next = host.key()
    const steps = readProcedure('mcp-host', 'The next root key', { current: kek, next })
    const [before, first, second, third, last] = steps.map(({ keys }) => keys)
    expect(steps.map(({ does }) => does)).toEqual(['', 'restart', 'restart', 'rewrap', 'restart'])
    await host.serve(before ?? {})
    const { id } = await host.addServer()
    const [stored] = await host.storedSecrets()
    for (const keys of [first, second]) {
      await host.restart(keys ?? {})
      expect(await host.check(id)).toBe(200)
    }
    const documented = documentedScripts('mcp-host').filter(([, verb]) => verb === 'rewrap')
    expect(documented.map((words) => words.join(' '))).toEqual([
      'dist/scripts/encryption.js rewrap',
      'dist/scripts/encryption.js rewrap local:…',
    ])
    const { before: old, roots } = await host.script(['rewrap'], third ?? {})
    expect({ old, roots: roots.toSorted() }).toEqual({ old: [rootOf(kek)], roots: [rootOf(kek), rootOf(next)].toSorted() })
    expect((await host.script(['rewrap', old[0]], third ?? {})).roots).toEqual([rootOf(next)])
    await host.restart(last ?? {})
    expect(await host.check(id)).toBe(200)
    expect(await host.storedSecrets()).toEqual([stored])
    expect((await rotate()).body).toEqual({ newVersion: 2, reEncrypted: 1 })
    expect(await host.refused(one)).toMatchObject({ code: 1, message: expect.stringContaining('none of the root keys given') })
  })

  test('M2 secrets.keyId names the key of a row, NULL the form from before there were data keys: both are read, and the first rotation moves them', async () => {
    const secret = () => `Bearer ${host.called.issue()}`
    const older = await fillOlder(
      host.server.pool,
      kek,
      [null, 1, 2, null].map((keyId) => ({ url: host.called.url, secret: secret(), keyId })),
    )
    await host.serve(one)
    await host.work(one)
    for (const { id } of older) expect(await host.call(id)).toEqual(accepted)
    expect(await status()).toMatchObject({ activeVersion: 1, secrets: 4, legacy: 4 })
    const fresh = await host.addServer()
    const stored = (await query('SELECT "serverId", "keyId" FROM secrets')).map(({ serverId, keyId }) => [serverId, keyId])
    expect(Object.fromEntries(stored)).toEqual({
      ...Object.fromEntries(older.map(({ id, keyId }) => [id, keyId === null ? null : String(keyId)])),
      [fresh.id]: expect.stringMatching(/^[a-z2-7]{8}$/),
    })

    // An instance of before still runs, and writes under its own keys.
    const [{ wrappedDek }] = await query('SELECT "wrappedDek" FROM encryption_keys WHERE active')
    const late = secret()
    const underOlder = seal(unsealBytes(Buffer.from(kek, 'hex'), wrappedDek), late)
    await query(`UPDATE secrets SET value = $1, "keyId" = 2 WHERE "serverId" = $2`, [underOlder, fresh.id])
    expect(await host.call(fresh.id)).toEqual(accepted)

    expect(await rotate()).toEqual({ status: 200, body: { newVersion: 2, reEncrypted: 5 } })
    const keyIds = new Set((await host.storedSecrets()).map(({ keyId }) => keyId))
    expect([...keyIds]).toEqual([expect.stringMatching(/^[a-z2-7]{8}$/)])
    expect(await status()).toMatchObject({ activeVersion: 2, secrets: 5, legacy: 0 })
    for (const { id } of [...older, fresh]) expect(await host.call(id)).toEqual(accepted)
    // The keys of before are as they were: a backup may need them.
    expect(await query('SELECT version, active, "rotatedBy" FROM encryption_keys ORDER BY 1')).toEqual([
      { version: 1, active: false, rotatedBy: 'user:grace' },
      { version: 2, active: true, rotatedBy: 'user:grace' },
    ])
  })

  test('M3 ensureActiveKey() makes version 1 once, however many processes start together, and says that it is ready in one line; a process without its keys does not serve', async () => {
    const [first, second, worker] = await Promise.all([host.serve(one), host.serve(one), host.work(one)])
    expect([said(first), said(second)]).toEqual([[ready('1')], [ready('1')]])
    expect(said(worker)).toEqual(['encryption is ready: waiting for calls'])
    expect(await query('SELECT number, state FROM keyturn.key_version')).toEqual([{ number: 1, state: 'active' }])
    expect(await host.events('keyring.create')).toHaveLength(1)

    const { code, message } = await host.refused({ SECRETS_ENCRYPTION_KEY: host.key() }, 'worker')
    expect(code).toBe(1)
    expect(message).toContain('none of the root keys given')
    expect(message).not.toContain('waiting for calls')
    const unreachable = { ...one, DATABASE_URL: 'postgres://nobody:marked-password@127.0.0.1:1/none' }
    expect(await host.refused(unreachable)).toMatchObject({ code: 1, message: expect.not.stringContaining('listening') })
    // Somebody has damaged the wrapped key: nothing is served under a new one instead.
    await query(`UPDATE keyturn.key_wrapping SET wrapped = overlay(wrapped PLACING '\\x00'::bytea FROM 20)`)
    expect(await host.refused(one)).toMatchObject({ code: 1, message: expect.not.stringContaining('listening') })
  })

  test('M4 encryptSecret() returns { value, keyId }, and decryptSecret(value, keyId) opens it under that key and no other', async () => {
    await host.serve(one)
    const { credential } = await host.addServer()
    await withLibrary(async ({ encryptSecret, decryptSecret }) => {
      const sealed = await encryptSecret('a secret')
      const [stored] = await host.storedSecrets()
      expect(sealed).toEqual({ value: expect.stringMatching(/^[A-Za-z0-9+/]+=*$/), keyId: stored?.keyId })
      expect(await decryptSecret(sealed.value, sealed.keyId)).toBe('a secret')
      expect(await decryptSecret(stored?.value ?? '', stored?.keyId ?? null)).toBe(`Bearer ${credential}`)
      expect(await decryptSecret(seal(Buffer.from(kek, 'hex'), 'from before'), null)).toBe('from before')
      await expect(decryptSecret(sealed.value, null)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
      await expect(decryptSecret(sealed.value, 'aaaaaaaa')).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
    })
  })

  test('M5 rotateKeys() encrypts every secret again under a fresh key in one transaction, retires the old key and makes the new one active', async () => {
    await host.serve(one)
    const made = [await host.addServer(), await host.addServer(), await host.addServer()]
    const before = await host.storedSecrets()
    const { newVersion, reEncrypted } = await withLibrary(({ rotateKeys }) => rotateKeys('command:ada@here'))
    expect({ newVersion, reEncrypted }).toEqual({ newVersion: 2, reEncrypted: 3 })
    expect(await query('SELECT count(DISTINCT xmin::text)::int AS transactions FROM secrets')).toEqual([{ transactions: 1 }])
    const after = await host.storedSecrets()
    expect(new Set(after.map(({ keyId }) => keyId)).size).toBe(1)
    for (const [index, { value, keyId }] of after.entries()) {
      expect(keyId).not.toBe(before[index]?.keyId)
      expect(value).not.toBe(before[index]?.value)
    }
    // Another process rotated: this one loads the keys again in a moment.
    const states = async () => (await status()).keys.map(({ state }: { state: string }) => state)
    await expect.poll(states).toEqual(['retired', 'active'])
    // The database itself refuses the old key: nothing can come under it again.
    const [stale] = before
    await expect(
      query('UPDATE secrets SET value = $1, "keyId" = $2 WHERE id = $3', [stale?.value, stale?.keyId, stale?.id]),
    ).rejects.toMatchObject({ code: '23514' })
    for (const { id } of made) expect(await host.check(id)).toBe(200)
  })

  test('M5 A process that dies while it rotates leaves every secret as it was and readable; each row says its key, and the next request moves all of them', async () => {
    const dying = await host.serve(one)
    const made = [await host.addServer(), await host.addServer()]
    const before = await host.storedSecrets()
    const client = await host.server.pool.connect()
    try {
      // Somebody writes: the rotation waits for the table, and is killed there.
      await client.query('BEGIN')
      await client.query('LOCK TABLE secrets IN ROW EXCLUSIVE MODE')
      const pending = rotate().catch(() => null)
      const begun = async () =>
        (
          await query(
            `SELECT to_regclass('keyturn.rotation') IS NOT NULL AND EXISTS (SELECT FROM pg_locks WHERE relation = 'secrets'::regclass AND NOT granted) AS waits`,
          )
        )[0]
      await expect.poll(begun, { interval: 20 }).toEqual({ waits: true })
      await host.kill(dying)
      expect(await pending).toBe(null)
    } finally {
      await client.query('ROLLBACK')
      client.release()
    }
    expect(await host.storedSecrets()).toEqual(before)

    await host.serve(one)
    for (const { id } of made) expect(await host.check(id)).toBe(200)
    // The lease of the process that died must be over.
    await expect.poll(async () => (await rotate()).status, { interval: 500 }).toBe(200)
    expect(new Set((await host.storedSecrets()).map(({ keyId }) => keyId)).size).toBe(1)
    expect(await status()).toMatchObject({ secrets: 2, legacy: 0 })
    for (const { id } of made) expect(await host.check(id)).toBe(200)
  })

  test('M6 The status says the active version, the history of keys with who rotated, how many secrets there are and how many rows are older', async () => {
    await fillOlder(host.server.pool, kek, [{ url: host.called.url, secret: 'Bearer marked-older', keyId: null }])
    const serving = await host.serve(one)
    await host.addServer()
    const first = { version: 1, state: 'active', active: true, rotatedBy: 'mcp-host', createdAt: expect.any(String), retiredAt: null }
    expect(await status()).toEqual({ activeVersion: 1, keys: [first], secrets: 2, legacy: 1 })
    await rotate()
    await rotate({ token: await host.token('ci') }, serving)
    const retired = { state: 'retired', active: false, retiredAt: expect.any(String) }
    expect(await status()).toEqual({
      activeVersion: 3,
      keys: [
        { ...first, ...retired },
        { ...first, ...retired, version: 2, rotatedBy: 'user:ada' },
        { ...first, version: 3, rotatedBy: 'token:ci' },
      ],
      secrets: 2,
      legacy: 0,
    })
    // The library and the page say the same, the newest key first.
    const page = (await host.ask('GET', '/api/encryption')).body
    expect(page).toMatchObject({ activeVersion: 3, secrets: 2, legacy: 0, rotating: false })
    expect(page.keys.map(({ rotatedBy }: { rotatedBy: string }) => rotatedBy)).toEqual(['token:ci', 'user:ada', 'mcp-host'])
    expect(await host.script(['status'], one)).toEqual(page)
  })

  test('M7 GET /v1/admin/encryption and POST /v1/admin/encryption/rotate are for who is logged in or has a token, and the rotation is on record with the numbers of its answer', async () => {
    const serving = await host.serve(one)
    await host.addServer()
    const token = await host.token('ci')
    const foreign = { cookie: host.cookie, headers: { Origin: 'https://elsewhere.example' } }
    for (const asking of [{}, { token: 'mcp_none' }, { cookie: 'mcp-host=none' }, foreign])
      expect(await serving.ask('POST', '/v1/admin/encryption/rotate', asking)).toMatchObject({
        status: 401,
        body: { code: 'ERR_UNAUTHORIZED' },
      })
    expect((await serving.ask('GET', '/v1/admin/encryption')).status).toBe(401)
    expect(await host.events('admin.encryption.rotate')).toEqual([])

    expect((await serving.ask('GET', '/v1/admin/encryption', { token })).body.activeVersion).toBe(1)
    const { body } = await rotate({ token }, serving)
    expect(body).toEqual({ newVersion: 2, reEncrypted: 1 })
    expect(await host.events('admin.encryption.rotate')).toEqual([{ actor: 'token:ci', subject: 'keyring/secrets', data: body }])
    // A token that was revoked is nobody's.
    expect((await host.ask('DELETE', '/api/tokens/ci')).status).toBe(200)
    expect((await rotate({ token }, serving)).status).toBe(401)
  })
})

/** What a wrapping is bound to (spec/wrapping.md). */
function associatedData(root: string, id: string, number: number): Buffer {
  const named = (text: string) => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)])
  const last = Buffer.alloc(4)
  last.writeUInt32BE(number)
  return Buffer.concat([Buffer.from('keyturn/wrapping\0'), named(root), named('secrets'), named(id), last])
}
