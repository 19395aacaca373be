import { expect, test } from 'vitest'
import { createFolder, runCommand } from '../../../../test/harness/command.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'

const database = useDatabase()
const config = `import { defineConfig, env } from '@keyturn/core'
export default defineConfig({
  database: env('DATABASE_URL'),
  keyrings: { app: { root: env('ROOT'), period: '90d' } },
  fields: { 'user.token': { column: 'users.token', keyring: 'app' } },
})
`
const env = () => ({ DATABASE_URL: database.url, ROOT: 'ab'.repeat(32) })
const schemas = async () => (await database.pool.query(`SELECT nspname FROM pg_namespace WHERE nspname LIKE 'keyturn%' ORDER BY 1`)).rows

test.each([
  [['--host', '0.0.0.0'], 'the server would be open to others at 0.0.0.0 without encryption. Give --tls-cert and --tls-key; or'],
  [['--host', '::'], 'ERR_PUBLIC_ADDRESS'],
  [['--host', '10.0.0.7'], 'ERR_PUBLIC_ADDRESS'],
  [['--port', '70000'], '--port must be a number from 0 to 65535'],
  [['--tls-cert', 'cert.pem'], '--tls-cert and --tls-key go together'],
  [['--rows', '7'], '--rows goes with --demo'],
])('serve %j is refused with a sentence, and nothing is made.', async (flags, sentence) => {
  const cwd = await createFolder({ 'keyturn.config.ts': config })
  const { code, stderr } = await runCommand(['serve', ...flags], { cwd, env: env() })
  expect({ code, says: stderr.includes(sentence) }).toEqual({ code: 2, says: true })
  expect(await schemas()).toEqual([])
})

test('serve says where it listens and how the first user is made, answers, and ends with 0 at the first Ctrl-C.', async () => {
  await database.pool.query('CREATE TABLE users (id int PRIMARY KEY, token text)')
  const cwd = await createFolder({ 'keyturn.config.ts': config })
  const asked: Promise<Response>[] = []
  const { code, stdout, stderr } = await runCommand(['serve', '--port', '0', '--json'], {
    cwd,
    env: env(),
    watch: (stderr, interrupt) => {
      const [, url] = /Server listening at (http:[^"]+)"/.exec(stderr) ?? []
      if (url === undefined || asked.length > 0) return
      asked.push(fetch(`${url}/health`))
      void asked[0]?.then(interrupt, interrupt)
    },
  })
  expect({ code, status: (await asked[0])?.status }).toEqual({ code: 0, status: 200 })
  expect(JSON.parse(stdout)).toEqual({
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    setup: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/setup#\S{20,}$/),
  })
  expect(stderr).toContain('The next server goes on with it')
  // The link is for whoever started the server: it stands in no log.
  expect(stderr).not.toContain(JSON.parse(stdout).setup.split('#')[1])
  expect(await schemas()).toEqual([{ nspname: 'keyturn' }, { nspname: 'keyturn_jobs' }])
})
