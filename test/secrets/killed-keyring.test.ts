import { setTimeout as sleep } from 'node:timers/promises'
import { type Keyturn, open } from '@keyturn/core'
import { openSecrets, sealedSecrets } from '@keyturn/secrets'
import { expect, test } from 'vitest'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { RotatingTask } from './rotating-child.ts'

const server = useDatabase()
const env = { ROOT: '5e'.repeat(32) }
const config = {
  refreshMs: 500,
  keyrings: { app: { root: { env: 'ROOT' } } },
  fields: { ...sealedSecrets('app'), note: { column: 'notes.body', keyring: 'app', bind: ['id'] } },
  secrets: { turn: { rotator: { rotator: 'keyring', keyring: 'app' }, grace: '1m', deadline: '2h' } },
}
const rows = count(1_500, 20_000)

async function filled(keyturn: Keyturn): Promise<void> {
  const field = keyturn.field('note')
  const values: unknown[] = []
  for (let id = 1; id <= rows; id++) values.push(await field.encrypt(`value ${id}`, { id }))
  await server.pool.query('INSERT INTO notes SELECT n, v FROM unnest($1::text[]) WITH ORDINALITY AS given (v, n)', [values])
}

async function unread(keyturn: Keyturn): Promise<number[]> {
  const { rows } = await server.pool.query('SELECT id, body FROM notes ORDER BY id')
  const bad: number[] = []
  for (const { id, body } of rows) {
    const opened = await keyturn
      .field('note')
      .decrypt(body, { id })
      .catch(() => null)
    if (opened !== `value ${id}`) bad.push(id)
  }
  return bad
}

test('a run of a keyring whose processes are killed again and again makes one version, and every value is under it', async () => {
  await server.pool.query('CREATE TABLE notes (id int PRIMARY KEY, body text)')
  const reader = await open(config, { pool: server.pool, env, warn: () => {} })
  await filled(reader)
  let ahead = 0
  for (let round = 1; round <= count(2, 15); round++) {
    const secrets = await openSecrets(reader, { pool: server.pool, env, ahead: () => ahead })
    const { id } = await secrets.rotate('turn')
    for (let life = 0; ; life++) {
      const task: RotatingTask = { url: server.url, config, runId: id, ahead }
      const child = startChild('test/secrets/turning-child.ts', [JSON.stringify(task)], { env })
      await child.printed('working')
      // Somewhere in the work: the pending time, the rewriting, the last pass, the fence. The last life is let live.
      if (life < 4) await Promise.race([sleep(Math.random() * 2_000), child.exit])
      const { stdout, stderr, code, signal } = life < 4 ? await child.kill() : await child.exit
      if (signal === null && code !== 0) throw new Error(stderr)
      expect(await unread(reader)).toEqual([])
      ahead = Math.max(ahead, ...[...stdout.matchAll(/^ahead (\d+)$/gm)].map(([, ms]) => Number(ms)))
      if (/^(completed|paused|rolled-back) /m.test(stdout)) break
    }
    const { run } = await secrets.run(id)
    expect([run.state, run.note]).toEqual(['completed', null])
    // The reader knows of it at its next refresh.
    const states = async () => (await reader.keyrings('app'))[0]?.versions.map(({ state }) => state)
    await expect.poll(states, { timeout: 120_000 }).toEqual([...Array.from({ length: round }, () => 'retired'), 'active'])
    expect(await reader.missingFences('app')).toEqual([])
    const { fields } = await reader.census({ fields: ['note'] })
    expect(fields.map(({ total, groups }) => [total, groups.length])).toEqual([[rows, 1]])
  }
  await reader.close()
})
