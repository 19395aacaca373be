import { beforeEach, describe, expect, test } from 'vitest'
import type { Field } from '../../packages/core/src/field/field.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { withFreshKeys } from '../../packages/core/src/with-fresh-keys.ts'
import { useUsers } from './world.ts'

const world = useUsers()
let keyturn: Keyturn
let users: ReturnType<typeof usersOn>

beforeEach(async () => {
  keyturn = await world.open()
  users = usersOn(keyturn.field('user.token'))
})

/** The pattern of docs/adapters.md for a driver without an adapter: one place that knows the column. */
function usersOn(token: Field) {
  const { pool } = world.server
  return {
    async create(email: string, secret: string | null): Promise<number> {
      const { rows } = await pool.query(`SELECT nextval(pg_get_serial_sequence('users', 'id'))::int4 AS id`)
      const { id } = rows[0]
      const stored = secret === null ? null : await token.encrypt(secret, { id })
      await pool.query('INSERT INTO users (id, email, token) VALUES ($1, $2, $3)', [id, email, stored])
      return id
    },
    async tokenOf(id: number): Promise<string | null> {
      const { rows } = await pool.query('SELECT id, token FROM users WHERE id = $1', [id])
      return rows[0].token === null ? null : await token.decrypt(rows[0].token, { id: rows[0].id })
    },
    async setToken(id: number, secret: string): Promise<void> {
      await withFreshKeys(keyturn, async () => {
        await pool.query('UPDATE users SET token = $1 WHERE id = $2', [await token.encrypt(secret, { id }), id])
      })
    },
  }
}

describe('The pattern for pg', () => {
  test('binds a value to an id that the database assigns, by taking the id first; NULL stays NULL.', async () => {
    const [ada, bob] = [await users.create('ada', 'secret of ada'), await users.create('bob', null)]
    expect([await users.tokenOf(ada), await users.tokenOf(bob)]).toEqual(['secret of ada', null])
    expect(await world.stored('token')).toEqual([expect.stringMatching(/^kt1\./), null])
    await world.server.pool.query('UPDATE users SET token = (SELECT token FROM users WHERE id = $1) WHERE id = $2', [ada, bob])
    await expect(users.tokenOf(bob)).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
  })

  test('opens a value under a key that is new here, and writes again where the database refuses the old one.', async () => {
    const ada = await users.create('ada', 'secret of ada')
    const retired = await world.retire()
    await users.setToken(ada, 'after')
    expect(await users.tokenOf(ada)).toBe('after')
    expect((await world.stored('token'))[0]).not.toContain(retired)
  })
})
