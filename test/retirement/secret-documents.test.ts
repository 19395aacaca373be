import { expect, test } from 'vitest'
import { secretFields } from '../../packages/core/src/field/secret-fields.ts'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { keys, useThings } from './world.ts'

const { server, open, inState, constraints } = useThings()

const columns = { 'things.j': 'things.j', 'things.jb': 'things.jb', 'things.jt': 'things.jt' }
const config = {
  refreshMs: 200,
  keyrings: { app: { root: { env: 'ROOT' } } },
  fields: Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [name, { column: `${column}:/**`, keyring: 'app', only: 'encrypted' as const }]),
  ),
}
const secrets = secretFields({
  type: 'object',
  properties: {
    token: { type: 'string', secret: true },
    list: { type: 'array', items: { type: 'object', properties: { value: { type: 'string', secret: true } } } },
  },
})
const document = (id: number) => ({ url: 'https://a.example', token: `token ${id}`, list: [{ name: 'a', value: `value ${id}` }] })

test('A key is retired by proof although no path names where its values stand: the database refuses it in every document', async () => {
  const keyturn = await open(config, { env: keys })
  const write = async (id: number, more: object = {}) => {
    const [j, jb, jt] = await Promise.all(
      Object.keys(columns).map(async (name) => JSON.stringify({ ...(await secrets.encrypt(document(id), keyturn.field(name))), ...more })),
    )
    await server.pool.query('INSERT INTO things (id, j, jb, jt) VALUES ($1, $2, $3, $4)', [id, j, jb, jt])
  }
  for (let id = 1; id <= 20; id++) await write(id)
  const old = await keyturn.field('things.jb').encrypt('of before')
  const throttle = { share: 1 }
  expect(await keyturn.rotate('app', { throttle })).toMatchObject({ state: 'completed', rotated: 120, failedCount: 0 })
  const [retiring] = await inState(keyturn, 'retiring')
  await write(21, { note: `${String(old).slice(0, 13)} quoted by a person` })
  await expect(keyturn.retire('app', { throttle })).rejects.toMatchObject({ code: 'ERR_SET_ASIDE' })
  await server.pool.query('DELETE FROM things WHERE id = 21')
  expect(await keyturn.retire('app', { throttle })).toMatchObject([{ versionId: retiring }])
  expect((await constraints()).map(({ validated }) => validated)).toEqual([true, true, true])
  const late = JSON.stringify({ hidden: [{ deep: old }] })
  for (const column of ['j', 'jb', 'jt']) {
    const refused = await server.pool.query(`UPDATE things SET ${column} = $1 WHERE id = 1`, [late]).catch((error: unknown) => error)
    expect(isFenced(refused)).toBe(retiring)
  }
  const { rows } = await server.pool.query('SELECT id, j, jb, jt FROM things ORDER BY id')
  expect(rows).toHaveLength(20)
  for (const { id, j, jb, jt } of rows) {
    const found = [j, jb, JSON.parse(jt)].map((each, index) => secrets.decrypt(each, keyturn.field(Object.keys(columns)[index] ?? '')))
    expect(await Promise.all(found)).toEqual(Array(3).fill(document(Number(id))))
  }
  expect(await keyturn.verify()).toMatchObject({
    total: 120,
    current: 120,
    fences: { missing: [] },
    fields: [{ unencrypted: 40 }, { unencrypted: 40 }, { unencrypted: 40 }],
  })
})
