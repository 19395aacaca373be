import { beforeAll, expect, test } from 'vitest'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { defineConfig, env, type FieldConfig } from '../config/config.ts'
import { open } from '../open.ts'

const server = useDatabase()
const keys = { ROOT: 'ab'.repeat(32) }
const opened = (changes: Partial<FieldConfig>) => {
  const field: FieldConfig = { column: 'secrets.value', keyring: 'app', writes: 'blob', ...changes }
  const config = defineConfig({ refreshMs: 50, keyrings: { app: { root: env('ROOT') } }, fields: { secret: field } })
  return open(config, { pool: server.pool, env: keys })
}
let paused = ''

beforeAll(async () => {
  await server.pool.query('CREATE TABLE secrets (id int PRIMARY KEY, value text, key_id text, doc text)')
  const keyturn = await opened({ keep: 'none', keyId: 'key_id' })
  const { value, keyId } = await keyturn.field('secret').encryptKeyed('secret')
  await server.pool.query('INSERT INTO secrets VALUES (1, $1, $2)', [value, keyId])
  const stop = new AbortController()
  stop.abort()
  const { id, state } = await keyturn.rotate('app', { signal: stop.signal })
  expect(state).toBe('paused')
  paused = id
  await keyturn.close()
})

test.each<[string, Partial<FieldConfig>]>([
  ['another pattern of what is kept', { keyId: 'key_id', keep: 'nothing' }],
  ['no pattern of what is kept', { keyId: 'key_id' }],
  ['no column of key ids', { keep: 'none' }],
  ['an older name', { keyId: 'key_id', keep: 'none', was: ['older'] }],
  ['a place inside a document', { column: 'secrets.doc:/a', keep: 'none' }],
])('a run is not resumed with %s', async (_, changes) => {
  const keyturn = await opened(changes)
  await expect(keyturn.resume(paused)).rejects.toMatchObject({ code: 'ERR_RESUME_KEYS' })
  await keyturn.close()
})

test('a run is resumed with what it was started with', async () => {
  const keyturn = await opened({ keep: 'none', keyId: 'key_id' })
  expect(await keyturn.resume(paused)).toMatchObject({ state: 'completed', rotated: 1, failedCount: 0 })
  const { rows } = await server.pool.query('SELECT value, key_id AS "keyId" FROM secrets')
  expect(await keyturn.field('secret').decryptKeyed(rows[0])).toBe('secret')
  expect(keyturn.field('secret').open(rows[0].value, [], rows[0].keyId).current).toBe(true)
  await keyturn.close()
})
