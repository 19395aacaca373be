import { beforeEach, describe, expect, test } from 'vitest'
import { readEvents } from '../../packages/core/src/audit/log.ts'
import { type Config, defineConfig, env } from '../../packages/core/src/config/config.ts'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Keyturn, PlanOptions, RotateOptions } from '../../packages/core/src/keyturn.ts'
import { type OpenOptions, open } from '../../packages/core/src/open.ts'
import { readPlan, writePlan } from '../../packages/core/src/rotation/plan-file.ts'
import { useDatabase } from '../harness/postgres.ts'
import { storedConfig } from './stored-keyring.ts'
import { census, damaged, fieldOf, fillTable, insertOld, keyturnObjects } from './world.ts'

const server = useDatabase()
const rows = 60
const keys = { ROOT: 'ab'.repeat(32), OLD: '11'.repeat(32), NEW: '22'.repeat(32), OTHER: '33'.repeat(32) }
const config = defineConfig({
  keyrings: { app: { primary: env('NEW'), keyRule: 'hex', alsoUsedFor: { 'session cookies': 'everybody logs in again' } } },
  fields: {
    'tokens.token': { column: 'tokens.token', keyring: 'app', reads: [{ codec: 'hex-colon', key: env('OLD'), keyRule: 'hex' }] },
  },
})

beforeEach(async () => {
  await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS tokens, other')
  await fillTable(server.pool, 'tokens', rows)
})

async function opened<T>(of: Config, work: (keyturn: Keyturn) => Promise<T>, more: OpenOptions = {}): Promise<T> {
  const keyturn = await open(of, { pool: server.pool, env: keys, ...more })
  try {
    return await work(keyturn)
  } finally {
    await keyturn.close()
  }
}

/** A plan that went through a file. */
async function planned(of: Config = config, options: PlanOptions = {}) {
  return readPlan(writePlan(await opened(of, (keyturn) => keyturn.plan('app', options), { readOnly: true })))
}

/** What a rotation that is held to a plan says about it. */
async function refusal(of: Config, options: RotateOptions, more: OpenOptions = {}): Promise<string> {
  try {
    await opened(of, (keyturn) => keyturn.rotate('app', options), more)
    return 'not refused'
  } catch (error) {
    return isKeyturnError(error, 'ERR_PLAN_CHANGED') ? error.message : `another error: ${error}`
  }
}

describe('A rotation that is held to a plan', () => {
  test('runs as the plan was made while its facts hold, however many rows came meanwhile', async () => {
    const plan = await planned(config, { fields: ['tokens.token'] })
    expect(plan).toMatchObject({ format: 'keyturn/plan/1', options: { fields: ['tokens.token'], appStopped: false, newVersion: false } })
    await server.pool.query('DELETE FROM tokens')
    await insertOld(server.pool, 'tokens', rows * 3)
    expect(await opened(config, (keyturn) => keyturn.rotate('app', { plan, throttle: { share: 1 } }))).toMatchObject({
      state: 'completed',
      rotated: rows * 3,
    })
    const [event] = await readEvents(pgState(server.pool), '"keyturn"', { limit: 10 }).then((events) =>
      events.filter(({ action }) => action === 'rotation.plan'),
    )
    expect(event?.data.plan).toBe(JSON.parse(writePlan(plan)).digest)
  })

  test('may be of a field that takes only what is encrypted, whose plan says how much it leaves', async () => {
    await server.pool.query(`DROP TABLE IF EXISTS documents; CREATE TABLE documents (id bigint PRIMARY KEY, doc jsonb NOT NULL);
      INSERT INTO documents SELECT id, jsonb_build_object('name', 'of row ' || id, 'token', token) FROM tokens`)
    const { reads } = config.fields['tokens.token']!
    const field = { column: 'documents.doc:/**', keyring: 'app', only: 'encrypted' as const, reads }
    const whole = { ...config, fields: { 'documents.doc': field } }
    const plan = await planned(whole)
    expect(plan.fields).toMatchObject([{ field: 'documents.doc', unencrypted: expect.any(Number) }])
    expect(await opened(whole, (keyturn) => keyturn.rotate('app', { plan, accept: true, throttle: { share: 1 } }))).toMatchObject({
      state: 'completed',
      rotated: rows,
    })
  })

  test('takes its mode, and whether the application is stopped, from the plan', async () => {
    const named = { ...config, fields: { 'tokens.token': { ...config.fields['tokens.token']!, writes: 'hex-colon' } } }
    const plan = await planned(named, { mode: 'transaction' })
    const result = await opened(named, (keyturn) => keyturn.rotate('app', { plan }))
    expect(result).toMatchObject({ mode: 'transaction', state: 'completed', rotated: rows })
    expect(await keyturnObjects(server.pool)).toContain('trigger keyturn_hold on tokens')
    await opened(named, (keyturn) => keyturn.release(result.id))
  })

  test('may be the first opening of a stored keyring, which a plan for looking does not make', async () => {
    const plan = await planned(storedConfig)
    expect(await keyturnObjects(server.pool)).toEqual([])
    expect(await opened(storedConfig, (keyturn) => keyturn.rotate('app', { plan, throttle: { share: 1 } }))).toMatchObject({
      state: 'completed',
      rotated: rows,
    })
    expect(await refusal(storedConfig, { plan })).toMatch(
      /keyring "app": key versions was "not made yet" and is "[a-z2-7]{8} retiring, [a-z2-7]{8} active"/,
    )
  })

  const column = config.fields['tokens.token']!
  const changes: readonly (readonly [
    what: string,
    words: RegExp,
    change: { sql?: string; config?: Config; options?: PlanOptions; env?: object },
  ])[] = [
    [
      'a column has another type',
      /column "token" was "text" and is "character varying\(2000\)"/,
      { sql: 'ALTER TABLE tokens ALTER token TYPE varchar(2000)' },
    ],
    ['a column came', /column "extra" is new/, { sql: 'ALTER TABLE tokens ADD extra int' }],
    [
      'a column may not be NULL any more',
      /column "token" was "text" and is "text, NOT NULL"/,
      { sql: 'ALTER TABLE tokens ALTER token SET NOT NULL' },
    ],
    [
      'a table has another key',
      /key was "id" and is "other"/,
      {
        sql: 'ALTER TABLE tokens DROP CONSTRAINT tokens_pkey, ADD other int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ALTER id DROP NOT NULL',
      },
    ],
    [
      'a trigger came',
      /triggers and publications was "none" and is "trigger/,
      { sql: `CREATE TRIGGER touched BEFORE UPDATE ON tokens FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()` },
    ],
    ['the mode is another', /mode was "online" and is "transaction"/, { options: { mode: 'transaction' } }],
    [
      'a field stands elsewhere',
      /where it stands was "tokens.token" and is "public.tokens.token"/,
      { config: { ...config, fields: { 'tokens.token': { ...column, column: 'public.tokens.token' } } } },
    ],
    [
      'a field reads another format',
      /formats was "reads hex-colon; writes kt1 under "app"" and is/,
      {
        config: {
          ...config,
          fields: { 'tokens.token': { ...column, reads: [...column.reads!, { codec: 'blob', key: env('OLD'), keyRule: 'hex' }] } },
        },
      },
    ],
    [
      'a field is bound to a column',
      /what it is bound to was "nothing" and is "id \(int\)"/,
      { config: { ...config, fields: { 'tokens.token': { ...column, bind: ['id'] } } } },
    ],
    [
      'a field keeps something',
      /what is kept was "no pattern" and is/,
      { config: { ...config, fields: { 'tokens.token': { ...column, keep: 'none' } } } },
    ],
    [
      'a field has an older name',
      /older names was "none" and is "tokens.old"/,
      { config: { ...config, fields: { 'tokens.token': { ...column, was: ['tokens.old'] } } } },
    ],
    [
      'a field is new',
      /field "tokens.more": where it stands is new/,
      {
        config: { ...config, fields: { ...config.fields, 'tokens.more': { ...column, column: 'tokens.more' } } },
        sql: 'ALTER TABLE tokens ADD more text',
      },
    ],
    ['the new key is another', /keyring "app": keys of the environment are others/, { env: { ...keys, NEW: keys.OTHER } }],
    [
      'an old key came',
      /keyring "tokens.token.reads": keys of the environment are others/,
      {
        config: {
          ...config,
          fields: {
            'tokens.token': { ...column, reads: [{ codec: 'hex-colon', key: env('OLD'), previous: [env('OTHER')], keyRule: 'hex' }] },
          },
        },
      },
    ],
  ]
  test.each(changes)('is refused, in words, when %s: nothing is changed then', async (_what, words, change) => {
    const plan = await planned()
    if (change.sql !== undefined) await server.pool.query(change.sql)
    const said = await refusal(
      change.config ?? config,
      { plan, ...change.options },
      change.env === undefined ? {} : { env: change.env as never },
    )
    expect(said).toMatch(words)
    for (const key of Object.values(keys)) expect(said).not.toContain(key)
    expect(await keyturnObjects(server.pool).then((names) => names.filter((name) => !name.startsWith('trigger')))).toEqual([])
    expect(await census(server.pool, 'tokens', fieldOf('tokens.token'))).toEqual({ current: 0, old: rows, broken: 0 })
  })

  test('needs no word for values that do not open, as long as they are no more than the plan said', async () => {
    const breakOne = (id: number) => server.pool.query('UPDATE tokens SET token = $2 WHERE id = $1', [id, damaged()])
    await breakOne(3)
    const plan = await planned()
    expect(plan.mustAccept).toHaveLength(1)
    await breakOne(4)
    const worse = opened(config, (keyturn) => keyturn.rotate('app', { plan }))
    await expect(worse).rejects.toMatchObject({ code: 'ERR_SAMPLE_SHARE' })
    await server.pool.query('DELETE FROM tokens WHERE id = 4')
    // One of 59 would be more than one of 60.
    await server.pool.query('INSERT INTO tokens SELECT 1000 + n, token FROM generate_series(1, 20) n, tokens WHERE id = 5')
    expect(await opened(config, (keyturn) => keyturn.rotate('app', { plan, throttle: { share: 1 } }))).toMatchObject({
      state: 'completed',
      failedCount: 1,
    })
  })
})

describe('A plan', () => {
  test('says what else hangs on the key, that there will be no certificate, and what becomes of backups', async () => {
    const plan = await planned()
    expect(plan.alsoUsedFor).toEqual([{ what: 'session cookies', becomes: 'everybody logs in again' }])
    expect(plan.warnings).toEqual(expect.arrayContaining([expect.stringMatching(/no signing key/), expect.stringMatching(/^backups/)]))
    const signed = await planned({ ...config, signing: { key: env('ROOT') } })
    expect(signed.warnings).not.toEqual(expect.arrayContaining([expect.stringMatching(/no signing key/)]))
  })

  test('holds no key and no value, and its facts about keys cannot be compared with those of another plan', async () => {
    const [one, two] = [await planned(), await planned()]
    const text = writePlan(one)
    const { rows: stored } = await server.pool.query('SELECT token FROM tokens')
    for (const secret of [...Object.values(keys), ...stored.map(({ token }) => token)]) expect(text).not.toContain(secret)
    expect(text).not.toMatch(/token 1\b/)
    const keyFacts = ({ facts }: typeof one) => Object.entries(facts).filter(([what]) => what.endsWith('keys of the environment'))
    expect(keyFacts(one)).toHaveLength(2)
    expect(keyFacts(one)).not.toEqual(keyFacts(two))
  })

  test('reads back as it was written', async () => {
    const plan = await opened(config, (keyturn) => keyturn.plan('app'), { readOnly: true })
    expect(readPlan(writePlan(plan))).toEqual(plan)
  })

  test('is refused when it is something else, or was edited: nothing of it is repeated', async () => {
    const text = writePlan(await planned())
    const edited = (change: (plan: Record<string, unknown>) => void) => {
      const plan = JSON.parse(text)
      change(plan)
      return JSON.stringify(plan)
    }
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['', /not JSON/],
      ['secret-in-the-wrong-file', /not JSON/],
      ['[]', /not a JSON object/],
      ['null', /not a JSON object/],
      [edited((plan) => (plan.format = 'keyturn/plan/2')), /not of the format/],
      [edited((plan) => delete plan.facts), /"facts"/],
      [edited((plan) => (plan.mode = 'secret-mode')), /"mode"/],
      [edited((plan) => (plan['secret-member'] = 1)), /a member that no plan has/],
      [edited((plan) => delete plan.digest), /changed after it was made/],
      [edited((plan) => (plan.salt = 'another')), /changed after it was made/],
      [edited((plan) => ((plan.facts as Record<string, string>).mode = 'transaction')), /changed after it was made/],
    ]
    for (const [changed, words] of wrong) {
      let said = 'read'
      try {
        readPlan(changed)
      } catch (error) {
        said = isKeyturnError(error, 'ERR_PLAN') ? error.message : `another error: ${error}`
      }
      expect(said).toMatch(words)
      expect(said).not.toContain('secret')
    }
  })
})
