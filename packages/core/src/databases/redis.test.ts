import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { conformsToDatabase } from '../../../../test/conformance/database.ts'
import { databaseOnSql } from '../../../../test/conformance/database-on-sql.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { useRedis } from '../../../../test/harness/redis.ts'
import { parseReference } from '../field/reference.ts'
import { type Change, type Database, positionAfter, type Row, type Walk } from '../rotation/database.ts'
import { DatabaseError } from '../rotation/database-error.ts'
import postgres, { pgState } from './postgres.ts'
import redis, { type RedisClient } from './redis.ts'

const found = await useRedis()

describe.skipIf(found.missing)('Redis beside Postgres', () => {
  const server = useDatabase()
  conformsToDatabase('Postgres with Redis beside it', (tables) =>
    databaseOnSql(redis({ client: found.client, over: postgres({ pool: server.pool }) }), pgState(server.pool), {
      tables,
      readersGoOn: true,
    }),
  )
})

test('clients of both libraries fit, and others do not', () => {
  expectTypeOf<Redis>().toExtend<RedisClient>()
  expectTypeOf<ReturnType<typeof createClient>>().toExtend<RedisClient>()
  expectTypeOf<{ get(key: string): Promise<string> }>().not.toExtend<RedisClient>()
})

const node = createClient({ url: found.url || 'redis://127.0.0.1:6379' })
node.on('error', () => {})
const clients: readonly (readonly [string, () => RedisClient])[] = [
  ['ioredis', () => found.client],
  ['node-redis', () => node],
]

describe.skipIf(found.missing).each(clients)('Redis through %s', (_, clientOf) => {
  const server = useDatabase()
  const { client, prefix } = found
  let database: Database
  let walk: Walk

  beforeAll(async () => {
    if (!node.isOpen) await node.connect()
    database = redis({ client: clientOf(), over: postgres({ pool: server.pool }) })
    walk = await walkOf(`${prefix}*`)
  })
  afterAll(() => (node.isOpen ? node.close() : undefined))
  beforeEach(async () => {
    for (const { key } of await all(await walkOf(`${prefix}*`), 1_000)) await client.unlink(Buffer.from(key[0] as string, 'latin1'))
  })

  const walkOf = async (pattern: string): Promise<Walk> => {
    const [shape] = await database.inspect([parseReference(`redis:${pattern}`)])
    return await database.walk(
      shape!,
      [{ field: 'f', column: 'value', holds: 'text', currentPrefix: null }],
      [{ column: 'key', type: 'text' }],
    )
  }
  const all = async (over: Walk, limit: number): Promise<Row[]> => {
    const rows: Row[] = []
    for (let after: readonly string[] | null = null; ; ) {
      const batch = await database.scan(over, after, limit)
      if (batch.length === 0) return rows
      rows.push(...batch)
      after = positionAfter(batch)
    }
  }
  const swap = (changes: readonly Change[]) => database.transaction((tx) => tx.swap(walk, changes))
  const change = (id: string, from: string | Uint8Array, to: string): Change => ({ key: [`${prefix}${id}`], from: [from], to: [to] })

  test.each([1, 16, 100_000])('every key of a pattern is read, %s at a time, and no other', async (limit) => {
    const ids = Array.from({ length: 500 }, (_, n) => `s${n}`)
    await Promise.all(ids.map((id) => client.set(`${prefix}${id}`, `value of ${id}`)))
    await client.set(`other-${prefix}1`, 'x')
    const rows = await all(walk, limit)
    await client.del(`other-${prefix}1`)
    const read = new Map(rows.map(({ key, values, bound }) => [key[0], [values[0], bound[0]]]))
    expect([...read].sort()).toEqual(ids.map((id) => [`${prefix}${id}`, [`value of ${id}`, `${prefix}${id}`]]).sort())
    expect((await database.inspect([parseReference(`redis:${prefix}*`)]))[0]?.rows).toBeGreaterThan(0)
    expect((await database.sample(walk, 0, 10)).length).toBe(10)
  })

  test('a key and a value of any bytes arrive and are replaced as they are', async () => {
    const key = Buffer.concat([Buffer.from(prefix), Buffer.from([0xff, 0, 0xc3, 0x28])])
    const value = Buffer.from([0, 0xff, 0x7b, 0xc3])
    await client.set(key, value, 'PX', 60_000)
    const [row] = (await all(walk, 10)) as [Row]
    expect(Buffer.compare(row.values[0] as Uint8Array, value)).toBe(0)
    expect(await swap([{ key: row.key, from: row.values, to: ['ä😀'] }])).toEqual([])
    expect(await client.get(key)).toBe('ä😀')
    expect(await client.pttl(key)).toBeGreaterThan(0)
  })

  test('only what has not changed is replaced; nothing is made, and no time to live is touched', async () => {
    const end = Date.now() + 3_600_000
    for (const id of ['same', 'changed', 'gone', 'list', 'forever'])
      await client.call('SET', `${prefix}${id}`, 'a', ...(id === 'forever' ? [] : ['PXAT', String(end)]))
    await client.set(`${prefix}changed`, 'b')
    await client.del(`${prefix}gone`, `${prefix}list`)
    await client.rpush(`${prefix}list`, 'a')
    const missed = await swap(['same', 'changed', 'gone', 'list', 'forever'].map((id) => change(id, 'a', 'A')))
    expect(missed).toEqual([1, 2, 3])
    expect(await client.mget(...['same', 'changed', 'gone', 'forever'].map((id) => `${prefix}${id}`))).toEqual(['A', 'b', null, 'A'])
    expect(await client.lrange(`${prefix}list`, 0, -1)).toEqual(['a'])
    expect([await client.call('PEXPIRETIME', `${prefix}same`), await client.pttl(`${prefix}forever`)]).toEqual([end, -1])
  })

  test('a swap that is sent again, because its answer was lost, is done', async () => {
    await client.set(`${prefix}a`, 'a')
    expect([await swap([change('a', 'a', 'A')]), await swap([change('a', 'a', 'A')]), await swap([change('a', 'b', 'B')])]).toEqual([
      [],
      [],
      [0],
    ])
  })

  test('a server that has forgotten the scripts gets them again', async () => {
    await client.set(`${prefix}a`, 'a')
    await client.script('FLUSH')
    expect((await all(walk, 10)).map(({ values }) => values)).toEqual([['a']])
    await client.script('FLUSH')
    expect(await swap([change('a', 'a', 'A')])).toEqual([])
  })

  test('what cannot be a value is read as such, and left: another type, and what is too long', async () => {
    await client.hset(`${prefix}hash`, 'a', '1')
    await client.setrange(`${prefix}long`, 17 * 2 ** 20, 'x')
    await client.set(`${prefix}empty`, '')
    const read = Object.fromEntries((await all(walk, 10)).map(({ key, values }) => [key[0]?.slice(prefix.length), values[0]]))
    expect(Object.keys(read).sort()).toEqual(['empty', 'hash', 'long'])
    expect([read.empty, Buffer.isBuffer(read.hash), Buffer.isBuffer(read.long)]).toEqual(['', true, true])
    expect(await swap([change('hash', read.hash as Uint8Array, 'x'), change('long', read.long as Uint8Array, 'x')])).toEqual([0, 1])
    expect([await client.type(`${prefix}hash`), await client.strlen(`${prefix}long`)]).toEqual(['hash', 17 * 2 ** 20 + 1])
  })

  test('values that are large together are read in several answers', async () => {
    const value = 'x'.repeat(3 * 2 ** 20)
    for (const n of [1, 2, 3, 4]) await client.set(`${prefix}${n}`, `${value}${n}`)
    const rows = await all(walk, 10)
    expect(rows.map(({ values }) => String(values[0]).slice(-1)).sort()).toEqual(['1', '2', '3', '4'])
    expect(await swap(rows.map(({ key, values }) => ({ key, from: values, to: [`${values[0]}!`] })))).toEqual([])
  })

  test('large values are read a few at a time, and none is passed over', async () => {
    const value = 'x'.repeat(3 * 2 ** 20)
    for (let n = 0; n < 12; n++) await client.set(`${prefix}${n}`, `${value}${n}`)
    const [rows, batches]: [Row[], number[]] = [[], []]
    for (let after: readonly string[] | null = null; ; ) {
      const batch = await database.scan(walk, after, 1_000)
      if (batch.length === 0) break
      rows.push(...batch)
      batches.push(batch.length)
      after = positionAfter(batch)
    }
    expect(Math.max(...batches)).toBeLessThan(8)
    expect(rows.map(({ values }) => Number(String(values[0]).slice(3 * 2 ** 20))).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, n) => n),
    )
  })

  test('documents in which all is current are left out by a rotation, and no others', async () => {
    const marked = { ...walk, columns: [{ ...walk.columns[0]!, currentMark: { any: 'kt1.', current: 'kt1.newnewne.' } }] }
    const documents = {
      current: '{"t":"kt1.newnewne.A","u":"kt1.newnewne.B"}',
      stale: '{"t":"kt1.oldoldol.A"}',
      both: '{"t":"kt1.newnewne.A","u":"kt1.oldoldol.B"}',
      escaped: '{"t":"kt1.newnewne.A","u":"\\u006bt1.oldoldol.B"}',
      none: '{"t":"17"}',
      'no escape': '{"t":"kt1.newnewne.A","u":"u00"}',
      'no document': 'kt1.oldoldol.A',
    }
    for (const [id, text] of Object.entries(documents)) await client.set(`${prefix}${id}`, text)
    const read = async (over: Walk) => (await all(over, 100)).map(({ key }) => key[0]?.slice(prefix.length)).sort()
    expect(await read(walk)).toEqual(Object.keys(documents).sort())
    expect(await read(marked)).toEqual(['both', 'escaped', 'no document', 'none', 'stale'])
    // Where most are current, the server leaves them out itself, by the same rule.
    for (let n = 0; n < 40; n++) await client.set(`${prefix}current ${n}`, documents.current)
    for (let again = 0; again < 3; again++) expect(await read(marked)).toEqual(['both', 'escaped', 'no document', 'none', 'stale'])
    expect(await read(walk)).toContain('no escape')
    const whole = { ...walk, columns: [{ ...walk.columns[0]!, currentPrefix: 'kt1.' }] }
    expect(await read(whole)).not.toContain('no document')
  })

  test('where a walk stood in another process of the server it begins anew', async () => {
    for (const id of ['a', 'b', 'c']) await client.set(`${prefix}${id}`, id)
    expect((await database.scan(walk, ['7', 'another process'], 100)).length).toBe(3)
  })

  test('how long keys live, how many they are, and their end', async () => {
    const end = Date.now() + 3_600_000
    for (const [n, id] of ['a', 'b', 'c'].entries()) await client.call('SET', `${prefix}${id}`, id, 'PXAT', String(end - n * 1_000))
    await client.set(`${prefix}d`, 'd')
    const lives = await database.keys!.lives(`${prefix}*`)
    expect(lives).toMatchObject({ keys: 4, withoutEnd: 1 })
    expect(lives.until!.getTime()).toBeGreaterThanOrEqual(end)
    expect(lives.until!.getTime()).toBeLessThan(end + 3_000)
    expect(await database.keys!.count(`${prefix}*`)).toBe(4)
    expect(await database.keys!.end(`${prefix}[ab]`)).toBe(2)
    expect((await all(walk, 10)).map(({ key }) => key[0]?.slice(-1)).sort()).toEqual(['c', 'd'])
    expect(await database.keys!.lives(`${prefix}none*`)).toEqual({ keys: 0, withoutEnd: 0, until: null })
  })

  test('an error says the first word of the reply, and no key', async () => {
    const failing = database.scan({ ...walk, table: `${prefix}*` }, ['no cursor', 'x'], 10)
    await expect(failing).rejects.toBeInstanceOf(DatabaseError)
    await expect(failing).rejects.toMatchObject({ kind: 'other', message: 'the database failed (ERR) while sending SCAN to Redis' })
  })
})

test('clients of a cluster, and those that put a prefix before keys, are refused', async () => {
  const over = {} as Database
  const clusters = [
    new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true }),
    createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] }),
  ]
  for (const client of clusters) expect(() => redis({ client: client as unknown as RedisClient, over })).toThrow('cluster')
  const prefixed = new Redis({ lazyConnect: true, keyPrefix: 'app:' })
  expect(() => redis({ client: prefixed, over })).toThrow('keyPrefix')
  prefixed.disconnect()
})

test('without a client a field is found, and not walked', async () => {
  const database = redis({ client: null, over: {} as Database })
  const [shape] = await database.inspect([parseReference('redis:app:session:*:/token')])
  expect(shape).toMatchObject({ store: 'redis', table: 'app:session:*', key: ['key'] })
  await expect(database.walk(shape!, [], [])).rejects.toMatchObject({ code: 'ERR_USAGE' })
  expect(() => parseReference('redis:*')).toThrow('keys of every name')
})
