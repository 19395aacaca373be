import { readFileSync } from 'node:fs'
import { beforeEach, describe, expect, test } from 'vitest'
import postgres from '../../packages/core/src/databases/postgres.ts'
import { type Config, env, type Keyturn, open, type RotateOptions } from '../../packages/core/src/index.ts'
import langfuse from '../../packages/presets/src/applications/langfuse.ts'
import { fitsPreset, presetConfig, presetMode } from '../../packages/presets/src/index.ts'
import { useDatabase } from '../harness/postgres.ts'
import { langfuseDecrypt, langfuseEncrypt } from './langfuse-cipher.ts'
import { aroundPlaces, type Contents, fillLangfuse, keptValues, places, readLangfuse, storedAt, vectorKey } from './langfuse-tables.ts'

const server = useDatabase()
const fresh = '5a'.repeat(32)
const zeros = '0'.repeat(64)
const keys = { old: env('OLD'), new: env('NEW') } as const
const quick = { throttle: { share: 1 } } as const

beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE')
  await fillLangfuse(server.pool)
})

async function opened<T>(config: Config, secrets: Record<string, string>, work: (keyturn: Keyturn) => Promise<T>): Promise<T> {
  const keyturn = await open(config, { pool: server.pool, env: { NODE_ENV: 'production', ...secrets }, warn: () => {} })
  try {
    return await work(keyturn)
  } finally {
    await keyturn.close()
  }
}

/** As the command does it: what the database has of the preset, then the rotation from key to key. */
async function rotateLangfuse(old: string, options: RotateOptions = {}) {
  const { fields } = await fitsPreset(langfuse, postgres({ pool: server.pool }))
  const mode = presetMode(langfuse, keys, options.mode)
  return await opened(presetConfig(langfuse, { ...keys, fields }), { OLD: old, NEW: fresh }, (keyturn) =>
    keyturn.rotate('langfuse', { ...quick, mode, ...options }),
  )
}

const plaintexts = places.map(({ plaintext }) => plaintext)
const decrypted = (contents: Contents, key: string) => places.map((place) => langfuseDecrypt(storedAt(contents, place), key))
const opens = (contents: Contents, key: string) =>
  places.filter((place) => {
    try {
      return langfuseDecrypt(storedAt(contents, place), key) !== null
    } catch {
      return false
    }
  }).length

describe('the cipher of this test', () => {
  test('it reads what langfuse wrote, at every place, and refuses the empty value as langfuse does', async () => {
    const contents = await readLangfuse(server.pool)
    expect(decrypted(contents, vectorKey)).toEqual(plaintexts)
    expect(opens(contents, fresh)).toBe(0)
    expect(() => langfuseDecrypt(langfuseEncrypt('', fresh), fresh)).toThrow('not in the format')
    expect(langfuseDecrypt(langfuseEncrypt('¿', fresh), fresh)).toBe('¿')
  })

  test('the tables hold a value of every field of the preset', () => {
    const columns = new Set(places.map(({ table, column }) => `${table}.${column}`))
    const declared = new Set(Object.values(langfuse.fields).map(({ column }) => column.split(':')[0]))
    expect(columns).toEqual(declared)
    expect(declared.size).toBe(11)
  })
})

describe('from one ENCRYPTION_KEY to another', () => {
  test('every plaintext reads back under the new key, by langfuse alone, and none under the old', async () => {
    const result = await rotateLangfuse(vectorKey)
    expect(result).toMatchObject({ mode: 'transaction', state: 'completed', rotated: places.length, failed: [], skipped: keptValues })
    const after = await readLangfuse(server.pool)
    expect(decrypted(after, fresh)).toEqual(plaintexts)
    expect(opens(after, vectorKey)).toBe(0)
  })

  test('all else stays byte for byte: other members, headers that are not secret, plain, empty and NULL values', async () => {
    const before = await readLangfuse(server.pool)
    await rotateLangfuse(vectorKey)
    const after = await readLangfuse(server.pool)
    expect(aroundPlaces(after)).toEqual(aroundPlaces(before))
    expect(after).not.toEqual(before)
  })

  test('the hold stands until it is released, so that langfuse cannot write under its old key', async () => {
    const { id } = await rotateLangfuse(vectorKey)
    const writes = () => [
      server.pool.query(`UPDATE llm_api_keys SET secret_key = 'late' WHERE id = 'llm1'`),
      server.pool.query(`UPDATE actions SET config = config || '{"x": 1}' WHERE id = 'webhook1'`),
      server.pool.query(`INSERT INTO web_callout_endpoints (id, project_id, url) VALUES ('new' || random(), 'p1', 'x')`),
    ]
    const codes = async () =>
      (await Promise.allSettled(writes())).map((each) => (each.status === 'rejected' ? each.reason.code : 'written'))
    expect(await codes()).toEqual(['KT001', 'KT001', 'KT001'])
    const released = await opened(presetConfig(langfuse, keys), { OLD: vectorKey, NEW: fresh }, (keyturn) => keyturn.release(id))
    expect(released).toHaveLength(9)
    expect(await codes()).toEqual(['written', 'written', 'written'])
  })

  test('a second rotation finds nothing to do, and verify counts every value as current', async () => {
    await rotateLangfuse(vectorKey)
    const first = await readLangfuse(server.pool)
    await opened(presetConfig(langfuse, keys), { OLD: vectorKey, NEW: fresh }, async (keyturn) => {
      const [held] = (await keyturn.status()).holds
      await keyturn.release(held!.rotationId)
      expect(await keyturn.rotate('langfuse', { ...quick, mode: 'transaction' })).toMatchObject({ rotated: 0, failedCount: 0 })
      const { fields } = await keyturn.verify(quick)
      const sum = (name: 'current' | 'total') => fields.reduce((all, field) => all + Number((field as never)[name] ?? 0), 0)
      expect(sum('current')).toBe(places.length + keptValues)
    })
    expect(await readLangfuse(server.pool)).toEqual(first)
  })

  test('the default key of 64 zeros is one to come from, also in production', async () => {
    await fillLangfuse(server.pool, ({ plaintext }) => langfuseEncrypt(plaintext, zeros))
    expect(decrypted(await readLangfuse(server.pool), zeros)).toEqual(plaintexts)
    expect(await rotateLangfuse(zeros)).toMatchObject({ state: 'completed', rotated: places.length })
    expect(decrypted(await readLangfuse(server.pool), fresh)).toEqual(plaintexts)
  })

  test('under the wrong old key nothing is changed', async () => {
    const before = await readLangfuse(server.pool)
    await expect(rotateLangfuse('77'.repeat(32))).rejects.toMatchObject({ code: 'ERR_SAMPLE' })
    expect(await readLangfuse(server.pool)).toEqual(before)
  })

  test('a value that does not open rolls everything back, and is named by its row and its place in the document', async () => {
    await server.pool.query(
      `UPDATE actions SET config = jsonb_set(config, '{requestHeaders,X-Api-Key,value}', to_jsonb($1::text)) WHERE id = 'webhook1'`,
      [langfuseEncrypt('of another installation', '99'.repeat(32))],
    )
    const before = await readLangfuse(server.pool)
    const result = await rotateLangfuse(vectorKey, { accept: true })
    expect(result).toMatchObject({ state: 'failed', rotated: 0, failedCount: 1 })
    expect(result.failed).toEqual([
      { field: 'langfuse.action-header', row: { id: 'webhook1' }, path: '/requestHeaders/X-Api-Key/value', reason: 'ERR_DECRYPT' },
    ])
    expect(await readLangfuse(server.pool)).toEqual(before)
  })
})

describe('to a keyring of Keyturn, online', () => {
  const base: Config = { refreshMs: 50, keyrings: { app: { root: env('ROOT') } }, fields: {} }
  const config = presetConfig(langfuse, { old: keys.old, to: 'app' }, base)
  const secrets = { OLD: vectorKey, ROOT: 'ab'.repeat(32) }
  const rowOf = ({ table, row }: (typeof places)[number]): Record<string, string> => {
    if (table === 'datasets') return { id: row.split(' ')[0]!, project_id: row.split(' ')[1]! }
    return { [{ sso_configs: 'domain' }[table] ?? (/posthog|mixpanel|blob/.test(table) ? 'project_id' : 'id')]: row }
  }
  const fieldOf = (keyturn: Keyturn, { table, column, path }: (typeof places)[number]) => {
    const matching = Object.entries(langfuse.fields).find(([, field]) => {
      const [ref, pointer] = field.column.split(':')
      const steps = pointer === undefined ? [] : pointer.split('/').slice(1)
      return (
        ref === `${table}.${column}` && steps.length === path.length && steps.every((step, index) => step === '*' || step === path[index])
      )
    })
    return keyturn.field(matching![0])
  }

  test('every plaintext reads back through its field, bound to its row, and all else stays byte for byte', async () => {
    const before = await readLangfuse(server.pool)
    await opened(config, secrets, async (keyturn) => {
      const result = await keyturn.rotate('app', { ...quick, mode: presetMode(langfuse, { to: 'app' }) })
      expect(result).toMatchObject({ mode: 'online', state: 'completed', rotated: places.length, failed: [] })
      const after = await readLangfuse(server.pool)
      for (const place of places) {
        const stored = storedAt(after, place)
        expect(stored).toMatch(/^kt1\./)
        expect(await fieldOf(keyturn, place).decrypt(stored, rowOf(place))).toBe(place.plaintext)
      }
      expect(aroundPlaces(after)).toEqual(aroundPlaces(before))
      const [d1, d2] = places.filter(({ column }) => column === 'remote_experiment_secret_key')
      await expect(fieldOf(keyturn, d1!).decrypt(storedAt(after, d1!), rowOf(d2!))).rejects.toMatchObject({ code: 'ERR_DECRYPT' })
    })
  })

  test('the next rotation of that keyring rewrites all of them again, also in the column that keeps plain values', async () => {
    await opened(config, secrets, async (keyturn) => {
      await keyturn.rotate('app', { ...quick, mode: 'online' })
      const first = await readLangfuse(server.pool)
      expect(await keyturn.rotate('app', { ...quick, mode: 'online' })).toMatchObject({ state: 'completed', rotated: places.length })
      const second = await readLangfuse(server.pool)
      expect(places.filter((place) => storedAt(first, place).slice(0, 13) === storedAt(second, place).slice(0, 13))).toEqual([])
    })
  })
})

describe('the schema', () => {
  const database = () => postgres({ pool: server.pool })

  test('the tables of langfuse fit without a word', async () => {
    expect(await fitsPreset(langfuse, database())).toEqual({ fields: Object.keys(langfuse.fields), notes: [], warnings: [] })
  })

  test.each([
    [
      'a table that is missing',
      'ALTER TABLE posthog_integrations RENAME TO posthog_integration',
      /no table "posthog_integrations" \(the nearest is "posthog_integration"\)/,
    ],
    [
      'a column that is missing',
      'ALTER TABLE sso_configs RENAME auth_config TO auth_configs',
      /table "sso_configs" has no column "auth_config" \(the nearest is "auth_configs"\)/,
    ],
    [
      'an optional column that was renamed',
      'ALTER TABLE llm_api_keys RENAME extra_headers TO more',
      /no column "extra_headers".*column "llm_api_keys.more" holds values that look encrypted/,
    ],
  ])('%s is named before anything starts, and nothing is changed', async (_, statement, words) => {
    await server.pool.query(statement)
    const before = await readLangfuse(server.pool).catch(() => null)
    const refused = rotateLangfuse(vectorKey)
    await expect(refused).rejects.toMatchObject({ code: 'ERR_PRESET_FIT', message: expect.stringMatching(words) })
    await expect(refused).rejects.toThrow(langfuse.tested)
    expect(await readLangfuse(server.pool).catch(() => null)).toEqual(before)
    expect((await server.pool.query(`SELECT FROM pg_namespace WHERE nspname = 'keyturn'`)).rowCount).toBe(0)
  })

  test('what an older version does not have is passed over with a note, and the rest is rotated', async () => {
    await server.pool.query('DROP TABLE web_callout_endpoints; ALTER TABLE datasets DROP COLUMN remote_experiment_secret_key')
    const fit = await fitsPreset(langfuse, database())
    expect(fit.notes).toEqual([
      'table "datasets" has no column "remote_experiment_secret_key"; other versions of Langfuse have it',
      'there is no table "web_callout_endpoints"; other versions of Langfuse have it',
    ])
    expect(fit.fields).toHaveLength(11)
    expect(await rotateLangfuse(vectorKey)).toMatchObject({ state: 'completed', rotated: places.length - 3 })
  })

  test('values in places that the preset does not know are named, by column and place, and not by their text', async () => {
    const secret = langfuseEncrypt('new in the next version', vectorKey)
    await server.pool.query('ALTER TABLE slack_integrations ADD signing_secret text; ALTER TABLE datasets ADD plan text')
    await server.pool.query('UPDATE slack_integrations SET signing_secret = $1', [secret])
    await server.pool.query(`UPDATE datasets SET plan = '{"a": ["${secret}"], "X1y2": "${secret}", "b": "x"}' WHERE id = 'd2'`)
    await server.pool.query(`UPDATE actions SET config = jsonb_set(config, '{botToken}', to_jsonb($1::text)) WHERE id = 'slack1'`, [secret])
    await server.pool.query(
      `UPDATE actions SET config = jsonb_set(config, '{requestHeaders,Accept,value}', to_jsonb($1::text)) WHERE id = 'github1'`,
      [secret],
    )
    await server.pool.query('CREATE TABLE monitors (id int PRIMARY KEY, note text, token text); CREATE TABLE plain (note text)')
    await server.pool.query('INSERT INTO monitors SELECT id, $1, CASE WHEN id = 3 THEN $2 END FROM generate_series(1, 60) id', [
      'a note',
      secret,
    ])
    const { warnings } = await fitsPreset(langfuse, database())
    expect(warnings.map((warning) => warning.replace(/ holds values that look encrypted .*$/, '')).toSorted()).toEqual([
      'column "actions.config", at /botToken,',
      'column "actions.config", at /requestHeaders/Accept/value,',
      'column "datasets.plan", at /*,',
      'column "datasets.plan", at /a/*,',
      'column "monitors.token"',
      'column "slack_integrations.signing_secret"',
    ])
    expect(warnings.join()).not.toContain(secret)
  })
})

test('langfuse is not rotated online from key to key, and the reason is given', () => {
  expect(presetMode(langfuse, keys)).toBe('transaction')
  expect(() => presetMode(langfuse, keys, 'online')).toThrow(/cannot be rotated online: langfuse knows one key/)
  expect(presetMode(langfuse, { to: 'app' }, 'transaction')).toBe('transaction')
})

test('its page in the documentation has every place, in the order of the preset', () => {
  const page = readFileSync(new URL('../../docs/presets.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| `([a-z_.]+(?::[^`]+)?)` \| ([^|]+) \| (yes)? ?\|/gm)]
  const documented = rows.map(([, column, keys = '', optional]) => ({
    column,
    keys: keys.replaceAll('`', ''),
    optional: optional === 'yes',
  }))
  const declared = Object.values(langfuse.fields).map(({ column, bind = [], optional = false }) => ({
    column,
    keys: bind.join(', '),
    optional,
  }))
  expect(documented).toEqual(declared)
  expect(page).toContain(langfuse.tested)
  expect(page).toContain(langfuse.source.commit)
})
