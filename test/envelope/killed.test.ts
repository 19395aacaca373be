import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { ChildTask } from './child.ts'
import { config, fast, fillOld, keys, tables } from './world.ts'

const server = useDatabase()
const leaseMs = 400
const rows = 60
const started: Keyturn[] = []
beforeEach(async () => {
  await server.pool.query(`DROP SCHEMA IF EXISTS keyturn CASCADE; DROP TABLE IF EXISTS secrets, encryption_keys`)
  await server.pool.query(tables)
})
afterEach(async () => {
  for (const keyturn of started.splice(0)) await keyturn.close()
})

const childOf = (task: Partial<ChildTask>) => startChild('test/envelope/child.ts', [JSON.stringify({ url: server.url, leaseMs, ...task })])
const opened = async () => {
  const keyturn = await open(config, { pool: server.pool, env: keys, leaseMs })
  started.push(keyturn)
  return keyturn
}

/** As an operator would: goes on with what was left, or begins. */
async function finish(keyturn: Keyturn): Promise<void> {
  for (;;) {
    const [last] = (await keyturn.status('app')).rotations
    try {
      if (last?.state === 'completed') return
      if (last === undefined) await keyturn.rotate('app', fast)
      else await keyturn.resume(last.id, fast)
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}

test('Dying is harmless to values under keys of a table: each is readable at once, and moves when the rotation goes on.', async () => {
  await fillOld(server.pool, rows)
  const whole = await childOf({}).exit
  const { statements } = JSON.parse(whole.stdout.slice('ended '.length)) as { statements: number }
  expect(whole.stdout).toContain('"completed"')
  const points = Array.from({ length: count(3, 40) }, (_, n) => 1 + Math.round((n * (statements - 1)) / (count(3, 40) - 1)))
  let killed = 0
  for (const before of points) {
    await server.pool.query('DROP SCHEMA IF EXISTS keyturn CASCADE; TRUNCATE secrets, encryption_keys')
    await fillOld(server.pool, rows)
    const { signal, stdout, stderr } = await childOf({ before }).exit
    // The number of statements is not always the same: one that came to its end was not killed.
    expect({ before, stderr, ended: signal === 'SIGKILL' || stdout.includes('"completed"') }).toEqual({ before, stderr: '', ended: true })
    if (signal === 'SIGKILL') killed++
    const keyturn = await opened()
    await everyValueReads(keyturn)
    await finish(keyturn)
    await everyValueReads(keyturn)
    expect(await keyturn.verify()).toMatchObject({ total: rows + 1, current: rows + 1, failedCount: 0 })
    await started.pop()?.close()
  }
  expect(killed).toBeGreaterThanOrEqual(points.length - 1)
}, 1_800_000)

async function everyValueReads(keyturn: Keyturn): Promise<void> {
  const field = keyturn.field('server.secret')
  const { rows: found } = await server.pool.query('SELECT id, value, "keyId" FROM secrets')
  for (const { id, ...pair } of found) expect(await field.decryptKeyed(pair)).toBe(id === 0 ? 'to know its key' : `secret ${id}`)
  expect(found).toHaveLength(rows + 1)
}

test('version 1 is made once, however many processes start together, and each opens what the others encrypt', async () => {
  const children = Array.from({ length: 5 }, () => childOf({ opens: true }))
  for (const child of children) await child.printed('waiting')
  for (const child of children) child.write('go\n')
  const exits = await Promise.all(children.map(({ exit }) => exit))
  expect(exits.map(({ code, stderr }) => ({ code, stderr }))).toEqual(children.map(() => ({ code: 0, stderr: '' })))
  const said = exits.map(({ stdout }) => JSON.parse(stdout.slice(stdout.indexOf('ended ') + 'ended '.length)))
  expect(new Set(said.map(({ keyId }) => keyId)).size).toBe(1)
  const keyturn = await opened()
  for (const { pid, value, keyId } of said) expect(await keyturn.field('server.secret').decryptKeyed({ value, keyId })).toBe(`from ${pid}`)
  const { rows: made } = await server.pool.query(`SELECT count(*)::int AS n FROM keyturn.audit_event WHERE action = 'keyring.create'`)
  expect(made).toEqual([{ n: 1 }])
  expect((await keyturn.status('app')).keyrings[0]?.versions.map(({ number, state }) => [number, state])).toEqual([[1, 'active']])
}, 600_000)
