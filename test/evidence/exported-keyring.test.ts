import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { verifyChain } from '../../packages/core/src/audit/chain.ts'
import type { Config, KeyringConfig } from '../../packages/core/src/config/config.ts'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import local from '../../packages/core/src/key-wrappers/local.ts'
import { unlock } from '../../packages/core/src/keyring/custody.ts'
import fileKeyrings from '../../packages/core/src/keyring-stores/file.ts'
import postgresKeyrings from '../../packages/core/src/keyring-stores/postgres.ts'
import { useDatabase } from '../harness/postgres.ts'
import { config, environment, eventsOf, fast, opened, refill } from './world.ts'

const [live, restored] = [useDatabase(), useDatabase()]
const folder = mkdtempSync(join(tmpdir(), 'keyturn-export-'))
afterAll(() => rmSync(folder, { recursive: true }))
let file: string
let files = 0
const safe = 'cd'.repeat(32)
const env = { ...environment, ROOT: 'not used', SAFE: safe }
const fromFile = (keyring: KeyringConfig): Config => ({ ...config, keyrings: { app: keyring } })
const exported = () => fromFile({ root: { env: 'SAFE' }, file })

beforeEach(async () => {
  file = join(folder, `keyring-${++files}.json`)
  await refill(live.pool, 30)
})

/** A backup of the application's table, without anything of ours. */
async function backUp(): Promise<void> {
  const { rows } = await live.pool.query('SELECT id, token FROM tokens ORDER BY id')
  await restored.pool.query(
    'DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens; CREATE TABLE tokens (id bigint PRIMARY KEY, token text)',
  )
  for (const { id, token } of rows) await restored.pool.query('INSERT INTO tokens VALUES ($1, $2)', [id, token])
}

describe('An exported keyring', () => {
  test('opens a backup whose keys are destroyed in the database that it came from', async () => {
    await opened(live.pool, async (keyturn) => {
      await keyturn.rotate('app', fast)
      await backUp()
      await keyturn.rotate('app', fast)
      expect(await keyturn.retire('app')).toHaveLength(2)
      const { versions, root } = await keyturn.exportKeyring('app', { file, wrapper: local({ key: safe }) })
      expect(versions).toHaveLength(3)
      expect(root).toBe(local({ key: safe }).rootId)
      for (const id of versions.slice(0, 2)) await keyturn.destroy('app', id, { now: true })
    })
    await opened(
      live.pool,
      async (keyturn) => {
        const { rows } = await restored.pool.query('SELECT id, token FROM tokens WHERE id = 5')
        await expect(keyturn.field('tokens.token').decrypt(rows[0].token, { id: 5 })).rejects.toThrow()
      },
      { readOnly: true },
    )
    await opened(
      restored.pool,
      async (keyturn) => {
        const { rows } = await restored.pool.query('SELECT id, token FROM tokens ORDER BY id')
        for (const { id, token } of rows) expect(await keyturn.field('tokens.token').decrypt(token, { id })).toBe(`token ${id}`)
        expect(await keyturn.verify()).toMatchObject({ total: 30, current: 0, other: 30, failedCount: 0, fences: { missing: [] } })
        expect((await keyturn.status()).keyrings[0]).toMatchObject({
          kind: 'stored',
          versions: [{ state: 'retired' }, { state: 'retired' }, { state: 'active' }],
        })
      },
      { config: exported(), env, readOnly: true },
    )
    // A look at a backup leaves nothing in it.
    expect((await restored.pool.query("SELECT 1 FROM pg_namespace WHERE nspname = 'keyturn'")).rows).toEqual([])
  })

  test('goes on counting messages where the database stands, and is not made anew where it is missing', async () => {
    await opened(live.pool, async (keyturn) => {
      await keyturn.rotate('app', fast)
      await keyturn.exportKeyring('app', { file, wrapper: local({ key: safe }) })
    })
    const counts = await postgresKeyrings(pgState(live.pool)).messages('app')
    expect(await fileKeyrings(file).messages('app')).toEqual(counts)
    expect(Math.max(...counts.values())).toBeGreaterThanOrEqual(30)
    const missing = fromFile({ root: { env: 'SAFE' }, file: `${file}.missing` })
    for (const readOnly of [true, false]) {
      await expect(opened(restored.pool, async () => {}, { config: missing, env, readOnly })).rejects.toThrow('does not exist yet')
    }
  })

  test('is on record before the file is there, in both logs, and nothing of the keys is in either', async () => {
    await opened(live.pool, async (keyturn) => {
      const { versions, root } = await keyturn.exportKeyring('app', { file, wrapper: local({ key: safe }) })
      const event = (await eventsOf(keyturn)).at(-1)
      expect(event).toMatchObject({ action: 'keyring.export', subject: 'keyring/app', data: { root, versions, revision: 1 } })
      const filed = await fileKeyrings(file).events()
      expect(filed).toMatchObject([{ action: 'keyring.export' }])
      expect(verifyChain(filed).intact).toBe(true)
      expect(statSync(file).mode & 0o777).toBe(0o600)
      await expect(keyturn.exportKeyring('app', { file: join(folder, 'none', 'x.json'), wrapper: local({ key: safe }) })).rejects.toThrow(
        'is its folder there',
      )
      const actions = (await eventsOf(keyturn)).map(({ action }) => action)
      expect(actions.slice(-2)).toEqual(['keyring.export', 'keyring.fail-export'])
    })
    // The root of the database does not open the file, and its seal is another: what holds the one cannot forge the other.
    const stored = await fileKeyrings(file).load('app')
    if (stored === null) throw new Error('nothing was exported')
    await expect(unlock(stored, [local({ key: environment.ROOT })])).rejects.toThrow('none of the root keys')
    const kept = await postgresKeyrings(pgState(live.pool)).load('app')
    expect(stored.seal.id).not.toBe(kept?.seal.id)
    expect(readFileSync(file, 'utf8')).not.toContain(safe)
  })

  test('is refused under a root that wraps the keyring already, into a file that holds one of its name, and for keys from the environment', async () => {
    await opened(live.pool, async (keyturn) => {
      await expect(keyturn.exportKeyring('app', { file, wrapper: local({ key: environment.ROOT }) })).rejects.toThrow('under another one')
      await keyturn.exportKeyring('app', { file, wrapper: local({ key: safe }) })
      const before = readFileSync(file, 'utf8')
      await expect(keyturn.exportKeyring('app', { file, wrapper: local({ key: 'ef'.repeat(32) }) })).rejects.toThrow('to another file')
      expect(readFileSync(file, 'utf8')).toBe(before)
    })
    const environmentConfig = fromFile({ primary: { env: 'OLD' }, keyRule: 'hex' })
    await opened(
      live.pool,
      async (keyturn) => {
        await expect(keyturn.exportKeyring('app', { file: `${file}.2`, wrapper: local({ key: safe }) })).rejects.toThrow(
          'only a keyring that',
        )
      },
      { config: environmentConfig },
    )
  })

  test('whose states were changed in the file is refused as forged', async () => {
    await opened(live.pool, async (keyturn) => {
      await keyturn.rotate('app', fast)
      await keyturn.exportKeyring('app', { file, wrapper: local({ key: safe }) })
    })
    writeFileSync(file, readFileSync(file, 'utf8').replace('"retiring"', '"pending"'))
    await expect(opened(restored.pool, async () => {}, { config: exported(), env, readOnly: true })).rejects.toThrow('not authentic')
  })
})
