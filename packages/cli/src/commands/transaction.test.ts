import { expect, test } from 'vitest'
import { keyturn, NEW, OTHER, seal, useUsers } from '../../../../test/harness/users.ts'

const { database, where, values, fill, opened } = useUsers()

test('transaction mode holds the table until release', async () => {
  await fill(20)
  const { code, stdout } = await keyturn(['rotate', ...where(), '--yes', '--mode', 'transaction'])
  expect([code, stdout]).toEqual([0, expect.stringMatching(/2\. keyturn release \S+/)])
  expect(new Set(await opened(NEW))).toEqual(new Set([true]))
  await expect(database.pool.query(`UPDATE users SET token = 'x' WHERE id = 1`)).rejects.toThrow()
  const mistaken = await keyturn(['release', 'nosuch', '--database', database.url])
  expect([mistaken.code, mistaken.stderr]).toEqual([2, expect.stringContaining('rotation nosuch holds no table; ')])
  const released = await keyturn(['release', '--database', database.url])
  expect([released.code, released.stdout]).toEqual([0, expect.stringContaining('users')])
  await database.pool.query('UPDATE users SET token = token WHERE id = 1')
})

test('in transaction mode a value that does not open rolls back with 1, and --set-aside commits the rest with 3', async () => {
  await fill(20)
  await database.pool.query('UPDATE users SET token = $1 WHERE id = 7', [seal('marked-plaintext', OTHER)])
  const before = await values()
  const rolledBack = await keyturn(['rotate', ...where(), '--yes', '--mode', 'transaction'])
  expect([rolledBack.code, rolledBack.stdout]).toEqual([
    1,
    expect.stringMatching(/users\.token {2}id=7 {2}ERR_DECRYPT\n\nWhat to do next\n {2}Everything was rolled back/),
  ])
  expect(await values()).toEqual(before)
  const { code } = await keyturn(['rotate', ...where(), '--yes', '--mode', 'transaction', '--set-aside'])
  expect(code).toBe(3)
  await keyturn(['release', ...where()])
})
