import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import type { ChildTask } from './child.ts'
import { everyKind, fast, fill, useThings } from './world.ts'

const world = useThings()
const { server } = world
const rows = 12
const leaseMs = 400

/** The application: it writes through a keyring of its own all the time. What the database refuses is a failure. */
function startApplication(keyturn: Keyturn): { readonly failures: string[]; stop(): Promise<void> } {
  const failures: string[] = []
  let stopped = false
  const working = (async () => {
    for (let n = 0; !stopped; n++) {
      const id = 1 + (n % rows)
      try {
        const token = await keyturn.field('things.token').encrypt(`written ${n}`, { id })
        await server.pool.query('UPDATE things SET token = $2, note = $3 WHERE id = $1', [id, token, `written ${n}`])
        const { rows: found } = await server.pool.query('SELECT token, note, jb FROM things WHERE id = $1', [id])
        if ((await keyturn.field('things.token').decrypt(found[0].token, { id })) !== found[0].note)
          failures.push(`row ${id} lost its value`)
        if ((await keyturn.field('things.jb').decrypt(found[0].jb.keys[0])) !== `secret ${id}`)
          failures.push(`document ${id} lost its value`)
      } catch (error) {
        failures.push(String(error))
      }
      await sleep(10)
    }
  })()
  return {
    failures,
    stop: async () => {
      stopped = true
      await working
    },
  }
}

async function child(task: Partial<ChildTask>): Promise<string> {
  const started = startChild('test/retirement/child.ts', [JSON.stringify({ url: server.url, leaseMs, ...task })])
  const { stdout, stderr, signal } = await started.exit
  const mustDie = typeof task.at === 'string'
  if (signal === null && (mustDie || !stdout.includes('"retired":1'))) throw new Error(stdout + stderr)
  return stdout
}

/** What an operator does: the same command again. */
async function again(keyturn: Keyturn): Promise<void> {
  for (;;) {
    try {
      await keyturn.retire('app', fast)
      return
    } catch (error) {
      if (!isKeyturnError(error, 'ERR_LEASE_HELD')) throw error
      await sleep(50)
    }
  }
}

test('Dying is harmless to a retirement: killed at any statement, the same call again ends with the proof, and no version is called retired without it', async () => {
  const keyturn = await world.open(everyKind)
  await fill(keyturn, server.pool, rows)
  const application = startApplication(keyturn)
  const oldValues = async () => (await server.pool.query('SELECT token, jb, legacy_key FROM things WHERE id = 1')).rows[0]
  const retireWhile = async (points: Partial<ChildTask>) => {
    const old = await oldValues()
    await keyturn.rotate('app', fast)
    const [id] = (await world.inState(keyturn, 'retiring')) as [string]
    const said = await child(points)
    // What the dead process left: retired only where every fence is there and checked.
    const [left] = await world.inState(keyturn, 'retiring')
    if (left === undefined) expect({ points, missing: (await keyturn.verify()).fences.missing }).toEqual({ points, missing: [] })
    await again(keyturn)
    expect({ points, retired: (await world.inState(keyturn, 'retired')).includes(id) }).toEqual({ points, retired: true })
    const mine = (await world.constraints()).filter(({ name }) => name.includes(id))
    expect({ points, mine: mine.map(({ validated }) => validated) }).toEqual({ points, mine: Array.from({ length: 7 }, () => true) })
    for (const [column, value] of Object.entries(old)) {
      const by = await server.pool.query(`UPDATE things SET ${column} = $1 WHERE id = 1`, [value]).catch(isFenced)
      expect({ points, column, by }).toEqual({ points, column, by: id })
    }
    expect({ points, ...(await keyturn.verify()) }).toMatchObject({
      points,
      total: rows * 6,
      current: rows * 6,
      failedCount: 0,
      fences: { missing: [] },
    })
    expect({ points, failures: application.failures }).toEqual({ points, failures: [] })
    return said
  }
  try {
    const { statements } = JSON.parse((await retireWhile({})).slice('ended '.length)) as { statements: number }
    const points = count(3, 24)
    const named = ['ADD CONSTRAINT', 'VALIDATE CONSTRAINT', 'UPDATE "keyturn".keyring', 'audit_head SET'].slice(0, count(1, 4))
    for (const at of named) for (const when of ['before', 'after'] as const) await retireWhile({ at, when })
    for (let n = 0; n < points; n++)
      await retireWhile({ at: 1 + Math.round((n * (statements - 1)) / (points - 1)), when: n % 2 === 0 ? 'before' : 'after' })
    expect((await keyturn.audit.verify()).intact).toBe(true)
    const events = await world.events(keyturn)
    const retired = events.filter(({ action }) => action === 'version.retire').map(({ data }) => data.version)
    expect(new Set(retired).size).toBe(retired.length)
    expect(retired).toHaveLength((await world.inState(keyturn, 'retired')).length)
  } finally {
    await application.stop()
  }
}, 1_800_000)
