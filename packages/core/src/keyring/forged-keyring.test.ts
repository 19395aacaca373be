import { beforeAll, describe, expect, test } from 'vitest'
import { clock, useKeyrings } from '../../../../test/harness/keyrings.ts'
import type { SqlState } from '../state/sql.ts'
import type { KeyringStore } from './keyring-store.ts'

const world = useKeyrings()
const { open, newName } = world
let state: SqlState
let store: KeyringStore
beforeAll(() => {
  ;({ state, store } = world)
})

describe('a keyring that was replaced', () => {
  test('by another of the same revision is refused: nothing more is encrypted under a key that is kept nowhere', async () => {
    const { time, monotonicMs } = clock()
    const name = newName()
    const running = await open(name, { refreshMs: 100_000, monotonicMs })
    const { rows } = await state.query(`SELECT seal_id FROM ${state.schema}.keyring WHERE name = $1::text`, [name])
    await state.query(
      `DELETE FROM ${state.schema}.key_wrapping WHERE id = $2::text OR id IN (SELECT id FROM ${state.schema}.key_version WHERE keyring = $1::text)`,
      [name, rows[0]?.seal_id],
    )
    for (const [table, column] of [
      ['key_version', 'keyring'],
      ['keyring', 'name'],
    ])
      await state.query(`DELETE FROM ${state.schema}.${table} WHERE ${column} = $1::text`, [name])
    const anew = await open(name)
    expect(anew.snapshot.revision).toBe(running.snapshot.revision)
    await expect(running.reload()).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
    time.now += 200_001
    await running.reserve(1)
    expect(() => running.spend(1)).toThrow('was last refreshed')
    // A later revision of the new one is no successor of the old one either.
    await anew.addPendingVersion()
    await expect(running.reload()).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
  })

  test('by another revision of the same number, saved after an older one was put back, is refused', async () => {
    const name = newName()
    const first = await open(name)
    const before = (await store.load(name))!
    await first.addPendingVersion()
    // An older state put back, and from it another second revision.
    await state.query(`DELETE FROM ${state.schema}.key_version WHERE keyring = $1::text AND number = 2`, [name])
    await state.query(`UPDATE ${state.schema}.keyring SET revision = 1, mac = decode($2::text, 'hex') WHERE name = $1::text`, [
      name,
      Buffer.from(before.mac).toString('hex'),
    ])
    const second = await open(name)
    await second.addPendingVersion()
    expect(second.snapshot.revision).toBe(first.snapshot.revision)
    await expect(first.reload()).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
  })
})

describe('states changed by SQL are found', () => {
  const compromised = async () => {
    const name = newName()
    const keyring = await open(name)
    const first = keyring.snapshot.active.id
    await keyring.activateVersion(await keyring.addPendingVersion())
    return { name, keyring, first, second: keyring.snapshot.active.id }
  }
  test.each([
    ['a retiring key made active again', `state = CASE number WHEN 1 THEN 'active' ELSE 'retiring' END`],
    ['a retiring key made retired', `state = CASE number WHEN 1 THEN 'retired' ELSE state END`],
    ['a mark taken or set', 'compromised = NOT compromised'],
    ['a date moved', `activated_at = activated_at + interval '1 second'`],
    ['a number changed', 'number = number + 10'],
  ])('%s', async (_, change) => {
    const { name, keyring } = await compromised()
    await state.query(`UPDATE ${state.schema}.key_version SET ${change} WHERE keyring = $1::text`, [name])
    await expect(open(name)).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
    await expect(keyring.reload()).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
  })
  test('a version removed', async () => {
    const { name } = await compromised()
    await state.query(`DELETE FROM ${state.schema}.key_version WHERE keyring = $1::text AND number = 1`, [name])
    await expect(open(name)).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
  })
  test('a wrapping put in the place of another one', async () => {
    const { name, first, second } = await compromised()
    await state.query(
      `UPDATE ${state.schema}.key_wrapping w SET wrapped = o.wrapped FROM ${state.schema}.key_wrapping o WHERE w.id = $1::text AND o.id = $2::text`,
      [first, second],
    )
    await expect(open(name)).rejects.toMatchObject({ code: 'ERR_ROOT_KEY' })
  })
  test('the keyring of another name', async () => {
    const { name } = await compromised()
    await state.query(
      `INSERT INTO ${state.schema}.keyring (name, revision, seal_id, mac) SELECT 'moved-' || name, revision, 'seal-x', mac FROM ${state.schema}.keyring WHERE name = $1::text`,
      [name],
    )
    await state.query(
      `INSERT INTO ${state.schema}.key_wrapping SELECT 'seal-x', w.root_id, w.wrapped, w.added_at FROM ${state.schema}.key_wrapping w JOIN ${state.schema}.keyring k ON k.seal_id = w.id WHERE k.name = $1::text`,
      [name],
    )
    await expect(open(`moved-${name}`)).rejects.toMatchObject({ code: 'ERR_ROOT_KEY' })
  })
})
