import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { Field } from '../../packages/core/src/field/field.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { rotate } from '../../packages/core/src/rotation/rotate.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { useDatabase } from '../harness/postgres.ts'
import { useRedis } from '../harness/redis.ts'
import { withSteps } from '../rotation/steps.ts'
import { rotationOf, writeOld } from '../rotation/world.ts'
import { contents, fill, opened, record, sessionsDatabase, tokenField } from './world.ts'

const redis = await useRedis()

describe.skipIf(redis.missing)('Between the read and the swap of a session', () => {
  const server = useDatabase()
  const { client, prefix } = redis
  // Less than the first batch takes: all of them have been read when something happens to them.
  const sessions = 200
  let database: Database
  let field: Field
  let ends: Map<string, number>

  beforeAll(async () => {
    database = sessionsDatabase(server.pool, client)
    await migrate(pgState(server.pool))
    field = tokenField(prefix)
  })
  beforeEach(async () => {
    await client.unlink(...[...(await contents(client, prefix)).keys()].map((id) => `${prefix}${id}`), `${prefix}none`)
    await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
    ends = await fill(client, prefix, sessions)
  })

  /** Rotates; before the first swap, when the sessions of its batch have been read and sealed, `work` happens. */
  async function rotateAround(work: () => Promise<unknown>) {
    let done = false
    const stepping = withSteps(database, async (step) => {
      if (step !== 'swap:before' || done) return
      done = true
      await work()
    })
    const result = await rotate(rotationOf(stepping, [field]))
    expect(done).toBe(true)
    return result
  }
  const all = () => [...ends.keys()]

  test('the application writes it: what it wrote stays, with its time to live, and comes again', async () => {
    const end = Date.now() + 3_600_000
    const result = await rotateAround(() =>
      Promise.all(all().map((id) => client.call('SET', `${prefix}${id}`, record(id, writeOld(`newer ${id}`)), 'PXAT', String(end)))),
    )
    expect(result).toMatchObject({ state: 'completed', rotated: sessions, conflicts: sessions })
    const found = await contents(client, prefix)
    for (const id of all()) {
      expect(found.get(id)?.end).toBe(end)
      expect(opened(field, found.get(id)?.text ?? '')).toBe(`newer ${id}`)
    }
  })

  test('it is destroyed: it does not come back', async () => {
    const result = await rotateAround(() => client.unlink(...all().map((id) => `${prefix}${id}`)))
    expect(result).toMatchObject({ state: 'completed', rotated: 0, conflicts: sessions, failedCount: 0 })
    expect(await contents(client, prefix)).toEqual(new Map())
  })

  test('it expires: it does not come back', async () => {
    const result = await rotateAround(async () => {
      await Promise.all(all().map((id) => client.pexpire(`${prefix}${id}`, 1)))
      await expect.poll(() => client.exists(...all().map((id) => `${prefix}${id}`))).toBe(0)
    })
    expect(result).toMatchObject({ state: 'completed', rotated: 0 })
    expect(await contents(client, prefix)).toEqual(new Map())
  })

  test('it is touched: it has the new time to live, to the millisecond, and the new key', async () => {
    const end = Date.now() + 2 * 24 * 3_600_000
    const result = await rotateAround(() => Promise.all(all().map((id, n) => client.call('PEXPIREAT', `${prefix}${id}`, String(end + n)))))
    expect(result).toMatchObject({ state: 'completed', rotated: sessions, conflicts: 0 })
    const found = await contents(client, prefix)
    for (const [n, id] of all().entries()) expect(found.get(id)?.end).toBe(end + n)
  })

  test('it is destroyed and another begins under its id: that one stays as it is', async () => {
    const result = await rotateAround(async () => {
      for (const id of all()) {
        await client.del(`${prefix}${id}`)
        await client.hset(`${prefix}${id}`, 'a', '1')
      }
    })
    expect(result).toMatchObject({ state: 'completed', rotated: 0, failedCount: sessions })
    for (const id of all()) expect(await client.hgetall(`${prefix}${id}`)).toEqual({ a: '1' })
  })

  test('nothing happens: each has the new key, every other byte of it and the time to live are as they were', async () => {
    const before = await contents(client, prefix)
    const result = await rotate(rotationOf(database, [field]))
    expect(result).toMatchObject({ state: 'completed', rotated: sessions, rows: sessions, conflicts: 0, failedCount: 0 })
    const after = await contents(client, prefix)
    expect(after.size).toBe(sessions)
    for (const [id, { text, end }] of after) {
      const token = JSON.parse(text).tokens.access as string
      expect(token).toMatch(/^kt1\.newnewne\./)
      expect([opened(field, text), end, text.replace(token, '')]).toEqual([
        `token of ${id}`,
        ends.get(id),
        before.get(id)?.text.replace(JSON.parse(before.get(id)?.text ?? '').tokens.access, ''),
      ])
    }
  })
})
