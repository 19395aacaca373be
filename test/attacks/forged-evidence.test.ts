import { beforeEach, describe, expect, test } from 'vitest'
import { env } from '../../packages/core/src/config/config.ts'
import { type Certificate, certificateText, checkCertificate, signCertificate } from '../../packages/core/src/rotation/certificate.ts'
import { signingKey } from '../../packages/core/src/signing/signing-key.ts'
import { config, environment, eventsOf, fast, opened, publicKey, refill } from '../evidence/world.ts'
import { useDatabase } from '../harness/postgres.ts'

// The attacker can write every table of the database, and has no key.
const server = useDatabase()
beforeEach(() => refill(server.pool, 10))

const { SIGNING_KEY: _, ...unsigned } = environment
const stranger = signingKey('d4'.repeat(32), 'stranger')
const ours = publicKey.signer

const plant = (subject: string, body: string) =>
  server.pool.query(
    `INSERT INTO keyturn.certificate (id, subject, body, created_at) VALUES (md5(random()::text), $1, $2, clock_timestamp() - interval '1 day')`,
    [subject, body],
  )
const claimOf = (rotation: string) => ({ kind: 'rotation', rotation, keyring: 'app', complete: true })

describe('A certificate that a database writer planted before ours does not stand in for it', () => {
  test.each<[string, (rotation: string) => string]>([
    [
      'one of our signer whose signature is none',
      (id) => certificateText({ format: 'keyturn/certificate/1', claim: claimOf(id), signer: ours, signature: 'A'.repeat(86) }),
    ],
    ['one that a stranger signed', (id) => certificateText(signCertificate(claimOf(id), stranger))],
    ['JSON of another kind', () => '{"certificate":null}'],
    ['null', () => 'null'],
    ['no JSON', () => '{"secret": hunter2'],
    ['a certificate with a member more', (id) => certificateText(signCertificate(claimOf(id), stranger)).replace('{', '{"also":1,')],
  ])('%s', async (_, forged) => {
    const { id } = await opened(server.pool, (keyturn) => keyturn.rotate('app', fast), { env: unsigned })
    await plant(`rotation/${id}`, forged(id))
    await opened(server.pool, async (keyturn) => {
      const { certificate } = await keyturn.resume(id)
      expect(checkCertificate(certificateText(certificate as Certificate), publicKey.text).claim).toMatchObject({
        kind: 'rotation',
        rotation: id,
      })
      // It is kept, and found again: made once, whatever stands before it.
      await expect(keyturn.resume(id)).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
      expect(await keyturn.certificates()).toContainEqual(expect.objectContaining({ certificate }))
    })
  })

  test('a certificate of ours, of another rotation', async () => {
    const other = await opened(server.pool, (keyturn) => keyturn.rotate('app', fast))
    const { id } = await opened(server.pool, (keyturn) => keyturn.rotate('app', fast), { env: unsigned })
    await plant(`rotation/${id}`, certificateText(other.certificate as Certificate))
    const { certificate } = await opened(server.pool, (keyturn) => keyturn.resume(id))
    expect(certificate?.claim).toMatchObject({ rotation: id })
  })

  test('of a retirement: a version whose certificate was planted is retired again, with its own', async () => {
    const [retired] = await opened(
      server.pool,
      async (keyturn) => {
        await keyturn.rotate('app', fast)
        return await keyturn.retire('app')
      },
      { env: unsigned },
    )
    const claim = {
      kind: 'retirement',
      rotation: String(retired?.rotationId),
      version: String(retired?.versionId),
      issuedAt: '9999-01-01T00:00:00.000Z',
    }
    await plant(`retirement/${claim.rotation}/${claim.version}`, certificateText(signCertificate(claim, stranger)))
    await opened(server.pool, async (keyturn) => {
      const [again] = await keyturn.retire('app')
      expect(checkCertificate(certificateText(again?.certificate as Certificate), publicKey.text).claim).toMatchObject({
        kind: 'retirement',
        version: claim.version,
        complete: true,
      })
      expect(await keyturn.retire('app')).toEqual([])
    })
  })
})

test('The certificate of an earlier signing key goes on counting: the log says that it was issued', async () => {
  const { id } = await opened(server.pool, async (keyturn) => {
    const result = await keyturn.rotate('app', fast)
    expect(await keyturn.retire('app')).toHaveLength(1)
    return result
  })
  await opened(
    server.pool,
    async (keyturn) => {
      await expect(keyturn.resume(id)).rejects.toMatchObject({ code: 'ERR_ROTATION_STATE' })
      expect(await keyturn.retire('app')).toEqual([])
    },
    { env: { ...environment, SIGNING_KEY: 'd4'.repeat(32) } },
  )
})

test('An id of a certificate is the digest of its text, whatever stands beside it', async () => {
  await opened(server.pool, async (keyturn) => {
    await keyturn.rotate('app', fast)
    const [before] = await keyturn.certificates()
    await server.pool.query(`UPDATE keyturn.certificate SET id = repeat('0', 64)`)
    expect(await keyturn.certificates()).toEqual([before])
  })
})

test('An event with a number beyond all numbers ends an export instead of making it endless', async () => {
  await opened(server.pool, async (keyturn) => {
    await keyturn.rotate('app', fast)
    const { length } = await eventsOf(keyturn)
    await server.pool.query(
      `INSERT INTO keyturn.audit_event SELECT 9007199254740993, at, actor, action, subject, data, previous, hash FROM keyturn.audit_event WHERE seq = 1`,
    )
    let read = 0
    for await (const _ of keyturn.audit.events()) if (++read > length + 1) break
    expect(read).toBe(length + 1)
    expect(await keyturn.audit.verify()).toMatchObject({ intact: false, fault: { seq: length + 1, reason: 'sequence' } })
  })
})

describe('States that a database writer made impossible are forged, and nothing else', () => {
  test.each([
    ['a date before all dates', `UPDATE keyturn.key_version SET created_at = '-infinity'`],
    ['a date after all dates', `UPDATE keyturn.key_version SET activated_at = 'infinity'`],
    ['a date that the program cannot hold', `UPDATE keyturn.key_version SET created_at = '290000-01-01Z'`],
    ['the largest revision', 'UPDATE keyturn.keyring SET revision = 9223372036854775807'],
    [
      'a state that does not exist',
      `ALTER TABLE keyturn.key_version DROP CONSTRAINT key_version_state_check; UPDATE keyturn.key_version SET state = 'constructor'`,
    ],
    [
      'a number below zero',
      'ALTER TABLE keyturn.key_version DROP CONSTRAINT key_version_number_check; UPDATE keyturn.key_version SET number = -number',
    ],
  ])('%s', async (_, sql) => {
    const stored = { ...config, fields: {}, keyrings: { app: { root: env('ROOT') } } }
    await opened(server.pool, async () => {}, { config: stored })
    await server.pool.query(sql)
    await expect(opened(server.pool, async () => {}, { config: stored })).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
  })
})

test('A compromised version is not made active by rows that say so, nor by a run that names it', async () => {
  await opened(server.pool, async (keyturn) => {
    await keyturn.rotate('app', fast)
    const [old] = (await keyturn.status('app')).keyrings[0]?.versions ?? []
    const paused = new AbortController()
    paused.abort()
    const { id } = await keyturn.rotate('app', { ...fast, signal: paused.signal })
    await server.pool.query('UPDATE keyturn.rotation SET version_id = $1 WHERE id = $2', [old?.id, id])
    await keyturn.resume(id, fast)
    const versions = (await keyturn.status('app')).keyrings[0]?.versions ?? []
    expect(versions.find((version) => version.id === old?.id)?.state).toBe('retiring')
    await server.pool.query(`UPDATE keyturn.key_version SET state = CASE WHEN id = $1 THEN 'active' ELSE 'retiring' END`, [old?.id])
    await expect(keyturn.rotate('app', fast)).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
    await expect(opened(server.pool, async () => {})).rejects.toMatchObject({ code: 'ERR_KEYRING_FORGED' })
  })
})
