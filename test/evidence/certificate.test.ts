import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { checkpointLine } from '../../packages/core/src/audit/checkpoint.ts'
import { isKeyturnError } from '../../packages/core/src/errors.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { type Certificate, certificateText, checkCertificate } from '../../packages/core/src/rotation/certificate.ts'
import { useDatabase } from '../harness/postgres.ts'
import { config, environment, eventsOf, fast, opened, publicKey, refill } from './world.ts'

const server = useDatabase()
beforeEach(() => refill(server.pool, 20, 7))

async function issued(keyturn: Keyturn): Promise<{ seq: number; subject: string; sha256: unknown; previous: string }[]> {
  const found = []
  for await (const { seq, action, subject, data, previous } of keyturn.audit.events())
    if (action === 'certificate.issue') found.push({ seq, subject, sha256: data.sha256, previous: Buffer.from(previous).toString('hex') })
  return found
}
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

test('A completed rotation has a certificate that a stranger can check, and the log holds its hash and follows its head', async () => {
  await opened(server.pool, async (keyturn) => {
    const result = await keyturn.rotate('app', fast)
    const text = certificateText(result.certificate as Certificate)
    const { claim } = checkCertificate(text, publicKey.pem)
    expect(claim).toMatchObject({
      kind: 'rotation',
      rotation: result.id,
      keyring: 'app',
      mode: 'online',
      state: 'completed',
      source: 'run',
      fields: [
        {
          name: 'tokens.token',
          location: 'tokens.token',
          writes: 'kt1',
          bound: [{ column: 'id', type: 'int' }],
          after: { total: 20, current: 19, other: 0, setAside: 1 },
        },
      ],
      before: { total: 20, other: 20, current: 0 },
      after: { total: 20, current: 19, other: 0, setAside: 1 },
      rewritten: { values: 19, rows: 19, tables: 1 },
      versions: [
        { number: 1, state: 'retiring', compromised: false },
        { number: 2, state: 'active', compromised: false },
      ],
      preserved: { values: 19, equal: true, scope: 'rewritten' },
      setAside: { count: 1 },
      complete: false,
      fence: 'none',
      position: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
    })
    expect(claim.setAside).toEqual({
      count: 1,
      listed: [{ field: 'tokens.token', row: { id: '7' }, path: null, reason: 'ERR_DECRYPT' }],
    })
    const [event, ...more] = await issued(keyturn)
    expect(more).toEqual([])
    expect(event).toMatchObject({ subject: `rotation/${result.id}`, sha256: sha256(text) })
    expect(claim.auditHead).toBe(`${(event?.seq ?? 0) - 1}:${event?.previous}`)
    expect(await keyturn.audit.verify({ expect: String(claim.auditHead) })).toMatchObject({ intact: true })
    expect(await keyturn.certificates()).toEqual([{ id: sha256(text), subject: `rotation/${result.id}`, certificate: result.certificate }])
  })
})

test('A transaction rotation that set nothing aside claims all values, and one that did claims those that it rewrote', async () => {
  await opened(server.pool, async (keyturn) => {
    const aside = await keyturn.rotate('app', { ...fast, mode: 'transaction', setAside: true })
    expect(aside.certificate?.claim).toMatchObject({ mode: 'transaction', preserved: { values: 19, scope: 'rewritten' }, complete: false })
    await server.pool.query('DELETE FROM tokens WHERE id = 7')
    const all = await keyturn.rotate('app', { ...fast, mode: 'transaction' })
    expect(all.certificate?.claim).toMatchObject({ preserved: { values: 19, equal: true, scope: 'all' }, complete: true })
  })
})

test('Without a signing key there is no certificate, and with it the same run gets one later, once', async () => {
  const { SIGNING_KEY: _, ...env } = environment
  const first = await opened(server.pool, (keyturn) => keyturn.rotate('app', fast), { env })
  expect(first).toMatchObject({ state: 'completed', certificate: null })
  await opened(server.pool, async (keyturn) => expect(await issued(keyturn)).toEqual([]), { env })
  await opened(server.pool, async (keyturn) => {
    const { certificate, ...result } = await keyturn.resume(first.id)
    expect({ ...result, certificate: null }).toEqual(first)
    expect(checkCertificate(certificateText(certificate as Certificate), publicKey.text).claim).toMatchObject({
      source: 'log',
      rotation: first.id,
      after: { total: 20, current: 19, other: 0, setAside: 1 },
      rewritten: { values: 19 },
      preserved: { values: 19, equal: true },
      setAside: { count: 1, listed: [{ row: { id: '7' } }] },
    })
    await expect(keyturn.resume(first.id)).rejects.toThrow('completed; it cannot be resumed')
    expect(await issued(keyturn)).toHaveLength(1)
  })
})

test('Two processes that certify the same run make one certificate', async () => {
  const { SIGNING_KEY: _, ...env } = environment
  const { id } = await opened(server.pool, (keyturn) => keyturn.rotate('app', fast), { env })
  await opened(server.pool, async (keyturn) => {
    const ended = await Promise.allSettled(Array.from({ length: 4 }, () => keyturn.resume(id)))
    const texts = ended.flatMap((end) => (end.status === 'fulfilled' ? [certificateText(end.value.certificate as Certificate)] : []))
    expect(texts.length).toBeGreaterThan(0)
    expect(new Set(texts).size).toBe(1)
    expect((await issued(keyturn)).map(({ sha256: hash }) => hash)).toEqual([sha256(texts[0] as string)])
  })
})

test('A rotation whose certificate cannot be kept is completed all the same, with a warning and an event, and is certified later', async () => {
  const warnings: string[] = []
  await opened(
    server.pool,
    async (keyturn) => {
      await server.pool.query('ALTER TABLE keyturn.certificate RENAME TO moved')
      const result = await keyturn.rotate('app', fast)
      expect(result).toMatchObject({ state: 'completed', rotated: 19, certificate: null })
      expect(warnings.filter((sentence) => sentence.includes('certificate of rotation/'))).toHaveLength(1)
      await server.pool.query('ALTER TABLE keyturn.moved RENAME TO certificate')
      const events = await eventsOf(keyturn)
      expect(events.filter(({ action }) => action === 'certificate.fail')).toMatchObject([{ subject: `rotation/${result.id}` }])
      expect((await keyturn.resume(result.id)).certificate).not.toBeNull()
    },
    { warn: (sentence) => warnings.push(sentence) },
  )
})

test('A certificate is not signed over a log whose head was written by hand', async () => {
  await opened(server.pool, async (keyturn) => {
    const { SIGNING_KEY: _, ...env } = environment
    const { id } = await opened(server.pool, (other) => other.rotate('app', fast), { env })
    await server.pool.query(`UPDATE keyturn.audit_head SET hash = decode(repeat('ab', 32), 'hex')`)
    expect((await keyturn.resume(id)).certificate).toBeNull()
    expect(await keyturn.certificates()).toEqual([])
  })
})

test('A transaction rotation that leaves nothing of ours behind hands its certificate out and keeps none', async () => {
  const { signing } = config
  const environmentConfig = {
    ...(signing === undefined ? {} : { signing }),
    keyrings: { app: { primary: { env: 'NEW' }, keyRule: 'hex' as const } },
    fields: {
      token: {
        column: 'tokens.token',
        keyring: 'app',
        writes: 'hex-colon',
        reads: [{ codec: 'hex-colon', key: { env: 'OLD' }, keyRule: 'hex' as const }],
      },
    },
  }
  const options = { config: environmentConfig, env: { ...environment, NEW: '22'.repeat(32) } }
  await server.pool.query('DELETE FROM tokens WHERE id = 7')
  await opened(
    server.pool,
    async (keyturn) => {
      const { certificate } = await keyturn.rotate('app', { ...fast, mode: 'transaction', appStopped: false })
      const { claim } = checkCertificate(certificateText(certificate as Certificate), publicKey.pem)
      expect(claim).toMatchObject({ versions: [], fence: 'none', preserved: { values: 19, scope: 'all' }, complete: true })
      expect(claim).toMatchObject({ auditHead: null, position: null })
      expect(await keyturn.certificates()).toEqual([])
    },
    options,
  )
})

describe('A retirement has a certificate that a stranger can check', () => {
  const old = async (keyturn: Keyturn) =>
    (await keyturn.status('app')).keyrings[0]?.versions.find(({ state }) => state === 'retiring' || state === 'retired')?.id ?? ''

  test('with the constraint that the database has checked, and a checkpoint after it and after the destruction', async () => {
    const lines: string[] = []
    await server.pool.query('DELETE FROM tokens WHERE id = 7')
    await opened(
      server.pool,
      async (keyturn) => {
        await keyturn.rotate('app', fast)
        const version = await old(keyturn)
        const [retirement, ...more] = await keyturn.retire('app')
        expect(more).toEqual([])
        const text = certificateText(retirement?.certificate as Certificate)
        const { claim } = checkCertificate(text, publicKey.pem)
        const { rows } = await server.pool.query(
          `SELECT conname AS constraint, pg_get_constraintdef(oid) AS definition, convalidated AS validated FROM pg_constraint WHERE conname LIKE 'keyturn\\_%'`,
        )
        expect(rows).toHaveLength(1)
        expect(claim).toMatchObject({
          kind: 'retirement',
          rotation: retirement?.rotationId,
          keyring: 'app',
          version,
          versions: [
            { id: version, state: 'retired' },
            { number: 2, state: 'active' },
          ],
          fence: [{ keyId: version, table: 'public.tokens', column: 'token', validated: true }],
          setAside: { count: 0, listed: [] },
          complete: true,
          position: retirement?.position,
        })
        expect(String((claim.fence as readonly { definition: string }[])[0]?.definition)).toContain(`kt1.${version}.`)
        expect(claim.fence).toMatchObject([{ constraint: rows[0].constraint, validated: rows[0].validated }])
        const events = await issued(keyturn)
        expect(events.map(({ sha256: hash }) => hash)).toContain(sha256(text))
        await keyturn.destroy('app', version, { now: true })
        // The last pass of a retirement is a rotation of its own.
        expect(lines).toHaveLength(4)
        for (const line of lines) expect(await keyturn.audit.verify({ expect: line })).toMatchObject({ intact: true })
      },
      { sink: (line) => lines.push(line) },
    )
  })

  test('that lists the values which name the key and were accepted, by their digest, and calls itself incomplete', async () => {
    await opened(server.pool, async (keyturn) => {
      await keyturn.rotate('app', fast)
      const [first] = (await keyturn.status('app')).keyrings[0]?.versions.filter(({ state }) => state === 'active') ?? []
      const broken = `kt1.${first?.id}.${'A'.repeat(60)}`
      await server.pool.query('UPDATE tokens SET token = $1 WHERE id = 7', [broken])
      await keyturn.rotate('app', fast)
      const [retirement] = await keyturn.retire('app', { versions: [String(first?.id)], acceptSetAside: 1 })
      expect(retirement?.certificate?.claim).toMatchObject({
        version: first?.id,
        setAside: { count: 1, listed: [{ field: 'tokens.token', row: { id: '7' }, reason: 'ERR_DECRYPT', digest: sha256(broken) }] },
        complete: false,
      })
      expect(JSON.stringify(retirement?.certificate)).not.toContain('AAAAAAAA')
    })
  })
})

describe('A certificate of the one kind is never taken for another', () => {
  test('a checkpoint does not check as a certificate, nor a certificate as a checkpoint', async () => {
    await opened(server.pool, async (keyturn) => {
      const { certificate } = await keyturn.rotate('app', fast)
      const checkpoint = await keyturn.audit.checkpoint()
      const code = (work: () => unknown) => {
        try {
          return work()
        } catch (error) {
          return isKeyturnError(error) ? error.code : error
        }
      }
      const replayed = { ...(certificate as Certificate), signature: checkpoint.signature as string }
      expect(code(() => checkCertificate(certificateText(replayed), publicKey.pem))).toBe('ERR_CERTIFICATE')
      expect(code(() => checkCertificate(checkpointLine(checkpoint), publicKey.pem))).toBe('ERR_CERTIFICATE')
      await expect(keyturn.audit.verify({ expect: certificateText(certificate as Certificate) })).rejects.toThrow(
        'checkpoint does not check',
      )
    })
  })
})
