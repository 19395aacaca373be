import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { open } from '../../packages/core/src/open.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { StoredChildTask } from './stored-child.ts'
import { storedConfig, storedEnv } from './stored-keyring.ts'
import { insertOld } from './world.ts'

const server = useDatabase()
const rows = 300
const leaseMs = 400

/** The application: it reads and writes through a stored keyring of its own, while other processes rotate it and die. */
function startApplication(keyturn: Keyturn): { readonly failures: string[]; readonly ledger: Map<number, string>; stop(): Promise<void> } {
  const field = keyturn.field('tokens.token')
  const [failures, ledger] = [[] as string[], new Map<number, string>()]
  let stopped = false
  const working = (async () => {
    for (let n = 0; !stopped; n++) {
      const id = 1 + ((n * 37) % rows)
      try {
        const { rows: found } = await server.pool.query('SELECT token FROM tokens WHERE id = $1', [id])
        const text = await field.decrypt(found[0].token, { id })
        const expected = ledger.get(id) ?? `token ${id}`
        if (text !== expected) failures.push(`row ${id} holds "${text}", not "${expected}"`)
        const next = `written ${n}`
        await server.pool.query('UPDATE tokens SET token = $2 WHERE id = $1', [id, await field.encrypt(next, { id })])
        ledger.set(id, next)
      } catch (error) {
        failures.push(String(error))
      }
      await sleep(5)
    }
  })()
  return {
    failures,
    ledger,
    stop: async () => {
      stopped = true
      await working
    },
  }
}

/** Finishes what a dead process left, as an operator would. */
async function finish(keyturn: Keyturn, before: number): Promise<void> {
  for (;;) {
    const { keyrings, rotations } = await keyturn.status('app')
    const status = keyrings[0]
    const [last] = rotations
    const active = status?.versions.filter(({ state }) => state !== 'pending').length ?? 0
    try {
      if (last !== undefined && !['completed', 'cancelled', 'failed'].includes(last.state)) await keyturn.resume(last.id)
      else if (active > before) return
      else await keyturn.rotate('app')
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}

async function child(task: Partial<StoredChildTask>): Promise<string> {
  const started = startChild('test/rotation/stored-child.ts', [JSON.stringify({ url: server.url, leaseMs, ...task })])
  const { stdout, stderr, signal } = await started.exit
  if (signal === null && !stdout.includes('"completed"')) throw new Error(stdout + stderr)
  return stdout
}

test('Dying is harmless to a stored keyring: one version is active, none is left pending, and an application that goes on fails nowhere', async () => {
  await server.pool.query('CREATE TABLE tokens (id bigint PRIMARY KEY, token text)')
  await insertOld(server.pool, 'tokens', rows)
  const keyturn = await open(storedConfig, { pool: server.pool, env: storedEnv, leaseMs })
  const application = startApplication(keyturn)
  try {
    const { statements } = JSON.parse((await child({})).slice('ended '.length)) as { statements: number }
    const spread = Array.from({ length: count(3, 40) }, (_, n) => 1 + Math.round((n * (statements - 1)) / (count(3, 40) - 1)))
    const points: Partial<StoredChildTask>[] = spread.map((at, n) => (n % 2 === 0 ? { before: at } : { after: at }))
    // Its new version is there and its run is not: the next rotation takes the version that it left.
    points.push({ beforeText: 'rotation (id' })
    for (const at of points) {
      const versions = (await keyturn.status('app')).keyrings[0]?.versions.filter(({ state }) => state !== 'pending').length ?? 0
      await child(at)
      await finish(keyturn, versions)
      const states = (await keyturn.status('app')).keyrings[0]?.versions.map(({ state }) => state) ?? []
      expect({ at, states }).toEqual({ at, states: [...Array.from({ length: versions }, () => 'retiring'), 'active'] })
      expect({ at, failures: application.failures }).toEqual({ at, failures: [] })
      expect({ at, ...(await keyturn.verify()) }).toMatchObject({ at, total: rows, current: rows, other: 0, failedCount: 0 })
    }
  } finally {
    await application.stop()
    await keyturn.close()
  }
  expect(application.ledger.size).toBeGreaterThan(100)
}, 1_800_000)
