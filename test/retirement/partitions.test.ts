import { expect, test } from 'vitest'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { fast, fillTokens, useThings } from './world.ts'

const world = useThings()
const { server } = world

test('a fence on a partitioned table holds in every partition, also in one that is attached or made later', async () => {
  await server.pool.query(`
    DROP TABLE things;
    CREATE TABLE things (id bigint, token text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE things_1 PARTITION OF things FOR VALUES FROM (0) TO (100);
    CREATE TABLE things_2 PARTITION OF things FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
    CREATE TABLE things_2a PARTITION OF things_2 FOR VALUES FROM (100) TO (150);
    CREATE TABLE later (id bigint NOT NULL, token text);`)
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 120)
  const { rows } = await server.pool.query('SELECT token FROM things WHERE id = 110')
  await keyturn.rotate('app', fast)
  const [retirement] = await keyturn.retire('app', fast)
  const id = retirement?.versionId ?? ''
  expect(retirement?.fences).toHaveLength(1)
  const { rows: everywhere } = await server.pool.query(
    `SELECT conrelid::regclass::text AS "table", convalidated AS validated FROM pg_constraint WHERE conname = $1 ORDER BY 1`,
    [retirement?.fences[0]?.constraint],
  )
  expect(everywhere).toEqual(['things', 'things_1', 'things_2', 'things_2a'].map((table) => ({ table, validated: true })))
  for (const table of ['things', 'things_2', 'things_2a'])
    expect({
      table,
      by: await server.pool.query(`UPDATE ${table} SET token = $1 WHERE id = 110`, [rows[0].token]).catch(isFenced),
    }).toEqual({ table, by: id })
  // One that comes with old values cannot be attached: it has no fence of its own.
  await server.pool.query('INSERT INTO later VALUES (210, $1)', [rows[0].token])
  const attach = () => server.pool.query('ALTER TABLE things ATTACH PARTITION later FOR VALUES FROM (200) TO (300)')
  await expect(attach()).rejects.toThrow('missing constraint')
  const definition = retirement?.fences[0]?.definition ?? ''
  const add = () => server.pool.query(`ALTER TABLE later ADD CONSTRAINT ${retirement?.fences[0]?.constraint} ${definition}`)
  expect(await add().catch(isFenced)).toBe(id)
  await server.pool.query('DELETE FROM later')
  await add()
  await attach()
  expect(await server.pool.query('INSERT INTO things VALUES (211, $1)', [rows[0].token]).catch(isFenced)).toBe(id)
  await server.pool.query('CREATE TABLE things_4 PARTITION OF things FOR VALUES FROM (300) TO (400)')
  expect(await server.pool.query('INSERT INTO things_4 VALUES (311, $1)', [rows[0].token]).catch(isFenced)).toBe(id)
  expect((await keyturn.verify()).fences.missing).toEqual([])
  // A partition cannot lose what its table has.
  await expect(server.pool.query(`ALTER TABLE things_1 DROP CONSTRAINT ${retirement?.fences[0]?.constraint}`)).rejects.toThrow('inherited')
  await keyturn.unretire('app', id)
  const { rows: left } = await server.pool.query(`SELECT 1 FROM pg_constraint WHERE conname LIKE 'keyturn\\_%'`)
  expect(left).toEqual([])
})
