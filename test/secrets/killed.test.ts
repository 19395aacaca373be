import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '@keyturn/core'
import { openSecrets, sealedSecrets } from '@keyturn/secrets'
import { afterAll, expect, test } from 'vitest'
import { startOpenAi } from '../doubles/openai.ts'
import { startChild } from '../harness/child.ts'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import type { RotatingTask } from './rotating-child.ts'

const server = useDatabase()
const openai = await startOpenAi()
const folder = await mkdtemp(join(tmpdir(), 'keyturn-secrets-'))
const path = join(folder, '.env')
afterAll(async () => {
  await openai.stop()
  await rm(folder, { recursive: true })
})

const root = '5e'.repeat(32)
const first = openai.makeUserKey('from before')
const env = { ROOT: root, ADMIN: openai.adminKey, FIRST: first.value }
const config = {
  keyrings: { app: { root: { env: 'ROOT' } } },
  fields: sealedSecrets('app'),
  secrets: {
    openai: {
      rotator: { rotator: 'openai-key', admin: { env: 'ADMIN' }, project: openai.project, endpoint: openai.url },
      stores: [{ store: 'env-file', path, values: { OPENAI_API_KEY: '{value}' } }],
      first: { value: { env: 'FIRST' } },
      grace: '1m',
      deadline: '2h',
    },
  },
}

const keyOf = async () => /^OPENAI_API_KEY='?([^'\n]+)/m.exec(await readFile(path, 'utf8'))?.[1]
const accepted = async (key: string | undefined) =>
  (await fetch(`${openai.url}/models`, { headers: { authorization: `Bearer ${key}` } })).ok

test('a rotation whose processes are killed again and again ends with one key, which the consumers have and had all the time', async () => {
  await writeFile(path, `# of the application\nPORT=3000\nOPENAI_API_KEY=${first.value}\n`, { mode: 0o600 })
  let ahead = 0
  for (let round = 0; round < count(3, 40); round++) {
    const keyturn = await open(config, { pool: server.pool, env, warn: () => {} })
    const secrets = await openSecrets(keyturn, { pool: server.pool, env, ahead: () => ahead })
    const { id } = await secrets.rotate('openai')
    const before = await keyOf()
    for (let life = 0; ; life++) {
      const task: RotatingTask = { url: server.url, config, runId: id, ahead }
      const child = startChild('test/secrets/rotating-child.ts', [JSON.stringify(task)], { env })
      await child.printed('working')
      // Somewhere in the work of a second: the first lives end early, the last one is let live.
      if (life < 2) await Promise.race([sleep(Math.random() * 120), child.exit])
      const { stdout, stderr, code, signal } = life < 2 ? await child.kill() : await child.exit
      if (signal === null && code !== 0) throw new Error(stderr)
      expect(await accepted(await keyOf())).toBe(true)
      // The lease of the dead ends, and with it the longest call that it may have made.
      ahead = Math.max(ahead, Number(/ahead (\d+)/.exec(stdout)?.[1] ?? 0)) + 1_200_000
      if (/^(completed|paused|rolled-back)$/m.test(stdout)) break
    }
    const { run } = await secrets.run(id)
    expect([run.state, run.note]).toEqual(['completed', null])
    expect(await keyOf()).not.toBe(before)
    expect([await accepted(await keyOf()), openai.live().length]).toEqual([true, 1])
    expect(await readFile(path, 'utf8')).toMatch(/^# of the application\nPORT=3000\nOPENAI_API_KEY=/)
    const { rows } = await server.pool.query('SELECT count(*)::int AS count FROM keyturn.sealed')
    expect(rows).toEqual([{ count: 1 }])
    await keyturn.close()
  }
})
