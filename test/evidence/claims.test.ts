import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Config } from '../../packages/core/src/config/config.ts'
import { open } from '../../packages/core/src/open.ts'
import { certificateText, checkCertificate } from '../../packages/core/src/rotation/certificate.ts'
import { usePglite } from '../harness/pglite.ts'
import { useDatabase } from '../harness/postgres.ts'
import { damaged, writeOld } from '../rotation/world.ts'
import { config, environment, fast, opened, publicKey, refill } from './world.ts'

const server = useDatabase()
const pglite = usePglite()
const reads = [{ codec: 'hex-colon', key: { env: 'OLD' }, keyRule: 'hex' as const }]
const withField = (field: Config['fields'][string]): Config => ({ ...config, fields: { token: field } })

test('A certificate shows no key of a row in a column that is sensitive, and nothing by which the value could be guessed', async () => {
  await refill(server.pool, 0)
  await server.pool.query('DROP TABLE IF EXISTS sessions; CREATE TABLE sessions (sid text PRIMARY KEY, token text)')
  const broken = damaged()
  await server.pool.query('INSERT INTO sessions VALUES ($1, $2), ($3, $4)', ['sid-marked-1', broken, 'sid-marked-2', writeOld('x')])
  await opened(
    server.pool,
    async (keyturn) => {
      const { certificate } = await keyturn.rotate('app', fast)
      const text = certificateText(certificate as never)
      expect(checkCertificate(text, publicKey.pem).claim.setAside).toMatchObject({
        count: 1,
        listed: [{ row: { sid: expect.any(String) }, reason: 'ERR_DECRYPT' }],
      })
      expect(text).not.toContain('marked')
      // What does not open may be a plain text, which its digest would help to guess.
      expect(text).not.toContain(createHash('sha256').update(broken).digest('hex'))
    },
    { config: withField({ column: 'sessions.token', keyring: 'app', sensitive: ['sid'], reads }) },
  )
})

test('A certificate of a retirement names the place inside a JSON document', async () => {
  await refill(server.pool, 0)
  await server.pool.query('DROP TABLE IF EXISTS documents; CREATE TABLE documents (id bigint PRIMARY KEY, body json)')
  await server.pool.query('INSERT INTO documents VALUES (1, $1), (2, $2)', [
    JSON.stringify({ 'a/b': [{ secret: writeOld('one') }] }),
    JSON.stringify({ 'a/b': [{ secret: damaged() }] }),
  ])
  await opened(
    server.pool,
    async (keyturn) => {
      const { certificate } = await keyturn.rotate('app', fast)
      expect(certificate?.claim).toMatchObject({
        fields: [{ location: 'documents.body:/a~1b/*/secret', after: { total: 2, current: 1, setAside: 1 } }],
        setAside: { listed: [{ row: { id: '2' }, path: '/a~1b/0/secret' }] },
      })
      const [retirement] = await keyturn.retire('app', fast)
      expect(retirement?.certificate?.claim).toMatchObject({
        fence: [{ table: 'public.documents', column: 'body', validated: true }],
        complete: true,
      })
    },
    { config: withField({ column: 'documents.body:/a~1b/*/secret', keyring: 'app', reads }) },
  )
})

test('A rotation on PGlite has its certificate and its audit log as one on Postgres has', async () => {
  await pglite().exec('CREATE TABLE tokens (id bigint PRIMARY KEY, token text)')
  await pglite().query('INSERT INTO tokens VALUES (1, $1)', [writeOld('one')])
  const lines: string[] = []
  const keyturn = await open(config, { pglite: pglite(), env: environment, sink: (line) => lines.push(line) })
  try {
    const { certificate, id } = await keyturn.rotate('app', fast)
    expect(checkCertificate(certificateText(certificate as never), publicKey.pem).claim).toMatchObject({
      rotation: id,
      complete: true,
      preserved: { values: 1, equal: true },
      position: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
    })
    expect(await keyturn.audit.verify({ expect: lines.at(-1) ?? '' })).toMatchObject({ intact: true })
    expect((await keyturn.certificates()).map(({ subject }) => subject)).toEqual([`rotation/${id}`])
  } finally {
    await keyturn.close()
  }
})
