import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import postgres, { pgState } from '../../packages/core/src/databases/postgres.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import { secretFields } from '../../packages/core/src/field/secret-fields.ts'
import type { JsonSchema } from '../../packages/core/src/field/secret-schema.ts'
import type { RotateOptions } from '../../packages/core/src/keyturn.ts'
import type { Database } from '../../packages/core/src/rotation/database.ts'
import { resume, rotate } from '../../packages/core/src/rotation/rotate.ts'
import { takeCensus } from '../../packages/core/src/rotation/take-census.ts'
import { verifyFields } from '../../packages/core/src/rotation/verify.ts'
import { migrate } from '../../packages/core/src/state/schema.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import { assertReadable, secretDocumentFields as fields, fillSecretDocuments, outlines, totals } from './secret-documents.ts'
import type { SecretDocumentsTask } from './secret-documents-child.ts'
import { withSteps } from './steps.ts'
import { changesOf, damaged, fieldOf, keepHistory, rotationOf, writeOld } from './world.ts'

const server = useDatabase()
let database: Database
const tables = ['connector_definition', 'workflow_run', 'scheduled_trigger']
const equal = (found: unknown, wanted: unknown) => expect(found).toEqual(wanted)

beforeAll(async () => {
  database = postgres({ pool: server.pool })
  await migrate(pgState(server.pool))
  await fillSecretDocuments(server.pool, 0)
  for (const table of tables) await keepHistory(server.pool, table)
})
beforeEach(async () => {
  await server.pool.query(`TRUNCATE workflow_definition, ${tables.flatMap((table) => [table, `${table}_history`]).join(', ')} CASCADE`)
  await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
})

describe("Values where each row's own schema has them", () => {
  test.each(['online', 'transaction'] as const)('%s: all are rewritten, and everything around them stays byte for byte', async (mode) => {
    const rows = 60
    await fillSecretDocuments(server.pool, rows)
    const { values, config, plain } = totals(rows)
    const before = await outlines(server.pool)
    const result = await rotate(rotationOf(database, fields, { mode, appStopped: true }))
    expect(result).toMatchObject({ state: 'completed', total: values, rotated: values, failedCount: 0, rows: 3 * rows, tables: 3 })
    expect(await outlines(server.pool)).toEqual(before)
    await assertReadable(server.pool, rows, equal)
    for (const table of tables) expect(await changesOf(server.pool, table)).toEqual({ rows, most: 1 })
    const verified = await verifyFields({ database, fields, known: [] })
    expect(verified).toMatchObject({ total: values, current: values, other: 0, failedCount: 0 })
    expect(verified.fields.map(({ field, total, unencrypted }) => [field, total, unencrypted])).toEqual([
      ['connector.config', config, plain.config],
      ['run.variables', rows, plain.variables],
      ['trigger.variables', rows, plain.variables],
    ])
    expect(await rotate(rotationOf(database, fields, { mode, appStopped: true }))).toMatchObject({ rotated: 0, skipped: values })
  })

  test('the census counts each key and format, and apart from them what is not encrypted', async () => {
    await fillSecretDocuments(server.pool, 6)
    const census = await takeCensus({ database, fields })
    expect(census?.fields[1]).toMatchObject({ field: 'run.variables', total: 6, unreadable: 0, kept: 0, unencrypted: 6 })
    expect(census?.fields[1]?.groups.map(({ codec, values, current }) => [codec, values, current])).toEqual([
      ['kt1', 3, false],
      ['hex-colon', 3, false],
    ])
  })

  test('a mark that is taken from a schema leaves no value behind', async () => {
    await fillSecretDocuments(server.pool, 3)
    await server.pool.query(`UPDATE connector_definition SET config_schema = '{"type":"object"}'`)
    const { values } = totals(3)
    expect(await rotate(rotationOf(database, fields))).toMatchObject({ state: 'completed', rotated: values })
  })
})

describe('What is no value, and what is a damaged one', () => {
  const token = writeOld('good') as string
  const held = (config: unknown) => server.pool.query(`INSERT INTO connector_definition VALUES (1, '{}', $1)`, [JSON.stringify(config)])
  const [field] = fields

  test('what may be a damaged value is set aside with its path, and never taken for plain text', async () => {
    const sealed = String(await field.encrypt('x'))
    const config = {
      good: token,
      plain: ['https://a.example', 'eu-central-1', '', 'a:b:c', 'sk-live-0123456789abcdefghij', '5432', 'ktx'],
      number: 7,
      nothing: null,
      flipped: sealed.replace(/.$/, sealed.endsWith('A') ? 'B' : 'A'),
      cut: sealed.slice(0, 20),
      headless: sealed.slice(3),
      newer: 'kt2.whatever',
      foreign: damaged(),
      hex: { cut: token.slice(0, 40), broken: token.replace(/[0-9a-f]$/, 'x') },
      unknown: sealed.replace('newnewne', 'aaaaaaaa'),
    }
    await held(config)
    const result = await rotate(rotationOf(database, [field], { accept: true }))
    const paths = ['/cut', '/flipped', '/foreign', '/headless', '/hex/broken', '/hex/cut', '/newer', '/unknown']
    expect(result).toMatchObject({ state: 'completed', rotated: 1, failedCount: paths.length })
    expect(result.failed.map(({ path }) => path).sort()).toEqual(paths)
    const { rows } = await server.pool.query('SELECT connector_config FROM connector_definition')
    expect({ ...rows[0].connector_config, good: token }).toEqual(config)
    const [found] = (await verifyFields({ database, fields: [field], known: [] })).fields
    expect(found).toEqual({ field: 'connector.config', total: 9, current: 1, other: 0, failedCount: 8, unencrypted: 7 })
  })

  test('a plain text in the shape of a value is left as it is once the field declares it', async () => {
    const id = '0123456789abcdef0123456789abcdef'
    await held({ tenant: id, token })
    const first = await rotate(rotationOf(database, [field], { accept: true }))
    expect(first).toMatchObject({ rotated: 1, failedCount: 1, failed: [{ path: '/tenant' }] })
    const { name, keyring, reads } = field
    const declared = fieldOf('connector_definition.connector_config:/**', { name, keyring, reads, only: 'encrypted', keep: /[0-9a-f]{32}/ })
    expect(await rotate(rotationOf(database, [declared]))).toMatchObject({ rotated: 0, failedCount: 0, skipped: 2 })
    expect((await takeCensus({ database, fields: [declared] }))?.fields[0]).toMatchObject({ total: 2, kept: 1, unencrypted: 0 })
  })

  test('documents of 100,000 levels, and what is no JSON, are set aside as they stand', async () => {
    const trigger = fields[2]
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    await server.pool.query('INSERT INTO scheduled_trigger (id, variables) VALUES (1, $1), (2, $2), (3, $3)', [
      deep,
      '{no',
      JSON.stringify([token]),
    ])
    const result = await rotate(rotationOf(database, [trigger], { accept: true }))
    expect(result).toMatchObject({ rotated: 1, failedCount: 2 })
    expect(result.failed.map(({ row, reason }) => [row.id, reason])).toEqual([
      ['1', 'ERR_DOCUMENT'],
      ['2', 'ERR_DOCUMENT'],
    ])
  })

  test('a path of one level with the same declaration takes what is encrypted and passes over numbers', async () => {
    await held({ a: token, b: 'plain', c: 5, d: { e: token } })
    const { name, keyring, reads } = field
    const flat = fieldOf('connector_definition.connector_config:/*', { name, keyring, reads, only: 'encrypted' })
    expect(await rotate(rotationOf(database, [flat]))).toMatchObject({ rotated: 1, failedCount: 0 })
    expect((await verifyFields({ database, fields: [flat], known: [] })).fields[0]).toMatchObject({ total: 1, unencrypted: 1 })
  })
})

test('An application that edits, adds and replaces secrets meanwhile loses nothing, and nothing of its own stays under the old key', async () => {
  const rows = count(150, 1_500)
  await fillSecretDocuments(server.pool, rows)
  const [field] = fields
  const ledger = new Map<number, { edits: number; added: string | null }>()
  let over = false
  const writer = async (first: number) => {
    const client = await server.pool.connect()
    try {
      for (let n = 0; !over; n++) {
        const id = 1 + ((first + n * 7) % rows)
        await client.query('BEGIN')
        const { rows: found } = await client.query(
          'SELECT config_schema, connector_config::text AS text FROM connector_definition WHERE id = $1 FOR UPDATE',
          [id],
        )
        const stored = JSON.parse(found[0].text)
        const secrets = secretFields({
          allOf: [found[0].config_schema as JsonSchema],
          properties: { added: { type: 'string', secret: true } },
        })
        const added = `added ${first} ${n}`
        const next = await secrets.merge({ ...secrets.mask(stored), edits: stored.edits + 1, added }, stored, field)
        await client.query('UPDATE connector_definition SET connector_config = $1 WHERE id = $2', [JSON.stringify(next), id])
        await client.query('COMMIT')
        ledger.set(id, { edits: (ledger.get(id)?.edits ?? 0) + 1, added })
        await sleep(2)
      }
    } finally {
      client.release()
    }
  }
  const writers = [writer(0), writer(3)]
  const throttle = { share: 0.5, targetMs: 5 }
  let result = await rotate(rotationOf(database, fields, { throttle }))
  while (result.state === 'waiting')
    result = await resume(rotationOf(database, fields, { throttle }), (await database.runs.get(result.id))!)
  over = true
  await Promise.all(writers)
  expect(result).toMatchObject({ state: 'completed', failedCount: 0 })
  expect(ledger.size).toBeGreaterThan(0)
  const { rows: documents } = await server.pool.query('SELECT id, connector_config AS config FROM connector_definition ORDER BY id')
  for (const { id, config } of documents) {
    const { edits = 0, added = null } = ledger.get(id) ?? {}
    expect({ id, edits: config.edits, added: config.added === undefined ? null : await field.decrypt(config.added) }).toEqual({
      id,
      edits,
      added,
    })
    delete config.added
    await server.pool.query('UPDATE connector_definition SET connector_config = $1 WHERE id = $2', [JSON.stringify(config), id])
  }
  expect(await verifyFields({ database, fields, known: [] })).toMatchObject({ other: 0, failedCount: 0 })
  await assertReadable(server.pool, rows, equal)
})

/** Small batches of the same sizes each time, so that the steps of one run are those of the next. */
const steady: RotateOptions = { throttle: { targetMs: 0.001, share: 1 } }
const leaseMs = 400

test('Killed at any point, a resume rewrites what is left, changes no row twice, and counts every value once', async () => {
  const rows = 45
  const { values } = totals(rows)
  await fillSecretDocuments(server.pool, rows)
  let steps = 0
  const counting = withSteps(database, () => void steps++)
  await rotate(rotationOf(counting, fields, steady))
  const points = count(3, 20)
  for (let point = 0; point < points; point++) {
    await server.pool.query(`TRUNCATE workflow_definition, ${tables.flatMap((table) => [table, `${table}_history`]).join(', ')} CASCADE`)
    await server.pool.query('TRUNCATE keyturn.rotation CASCADE')
    await fillSecretDocuments(server.pool, rows)
    const before = await outlines(server.pool)
    const at = 1 + Math.round((point * (steps - 1)) / (points - 1))
    const task: SecretDocumentsTask = { url: server.url, options: steady, leaseMs, at }
    const { stdout, stderr, signal } = await startChild('test/rotation/secret-documents-child.ts', [JSON.stringify(task)]).exit
    const where = stdout.trim()
    expect({ where, stderr, signal }).toEqual({ where, stderr: '', signal: 'SIGKILL' })
    const run = await finished()
    expect({ where, ...run }).toMatchObject({ where, state: 'completed', progress: { rotated: values } })
    for (const table of tables) expect({ where, ...(await changesOf(server.pool, table)) }).toEqual({ where, rows, most: 1 })
    expect(await outlines(server.pool)).toEqual(before)
    await assertReadable(server.pool, rows, equal)
  }
})

/** As an operator would: tries again while the dead process's lease lasts. */
async function finished() {
  for (;;) {
    const run = await database.runs.unfinished('connectors')
    const [last] = await database.runs.list(1)
    if (run === null && last?.state === 'completed') return last
    try {
      await (run === null ? rotate(rotationOf(database, fields, steady)) : resume(rotationOf(database, fields, steady), run))
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}
