import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { certificateText } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { createFolder, runCommand } from '../../../../test/harness/command.ts'
import { emptyHead, headText, nextEvent } from '../../../core/src/audit/chain.ts'
import { checkpointLine, makeCheckpoint } from '../../../core/src/audit/checkpoint.ts'
import { eventLine } from '../../../core/src/audit/line.ts'
import { signCertificate } from '../../../core/src/rotation/certificate.ts'
import { signingKey } from '../../../core/src/signing/signing-key.ts'

const text = Buffer.from('anything')

describe('keygen --format ed25519', () => {
  test('prints the private key alone, and writes the public one to the file that was named', async () => {
    const cwd = await createFolder()
    const { code, stdout, stderr } = await runCommand(['keygen', '--format', 'ed25519', '--public', 'signer.pub'], { cwd })
    expect([code, stderr, await readdir(cwd)]).toEqual([0, '', ['signer.pub']])
    expect(stdout).toMatch(/^-----BEGIN PRIVATE KEY-----\n[^-]+\n-----END PRIVATE KEY-----\n$/)
    const publicKey = await readFile(join(cwd, 'signer.pub'), 'utf8')
    expect(publicKey).not.toContain('PRIVATE')
    expect(verify(null, text, createPublicKey(publicKey), sign(null, text, createPrivateKey(stdout)))).toBe(true)
  })

  test('without a file shows the public key on standard error, where the private one never is', async () => {
    const { stdout, stderr } = await runCommand(['keygen', '--format', 'ed25519'])
    expect(stderr).toContain(String(createPublicKey(stdout).export({ type: 'spki', format: 'pem' })))
    expect(stderr).not.toContain('PRIVATE')
    const json = await runCommand(['keygen', '--format', 'ed25519', '--json'])
    expect([json.stderr, Object.keys(JSON.parse(json.stdout))]).toEqual(['', ['key', 'publicKey']])
  })

  test('never replaces a file, and prints no private key without its public half', async () => {
    const cwd = await createFolder({ 'signer.pub': 'there' })
    const { code, stdout } = await runCommand(['keygen', '--format', 'ed25519', '--public', 'signer.pub'], { cwd })
    expect([code, stdout, await readFile(join(cwd, 'signer.pub'), 'utf8')]).toEqual([2, '', 'there'])
  })

  test.each([[['--format', 'ed25519', '--bytes', '32']], [['--public', 'x']]])('%j is refused', async (options) => {
    const { code, stdout } = await runCommand(['keygen', ...options], { cwd: await createFolder() })
    expect([code, stdout]).toEqual([2, ''])
  })
})

describe('certificate verify', () => {
  const signer = signingKey('5a'.repeat(32), 'test')
  const certificate = certificateText(
    signCertificate(
      {
        kind: 'retirement',
        issuedAt: '2026-11-21T10:00:00.000Z',
        rotation: 'r1',
        keyring: 'app',
        version: 'aaaqeaye',
        complete: false,
        setAside: { count: 2, listed: [] },
        fence: [{ keyId: 'aaaqeaye', table: 'public.users', column: 'token', constraint: 'keyturn_aaaqeaye_1' }],
        auditHead: `7:${'ab'.repeat(32)}`,
      },
      signer,
    ),
  )
  const run = async (files: { readonly [name: string]: string }, ...more: string[]) =>
    runCommand(['certificate', 'verify', 'certificate.json', '--public-key', 'signer.pub', ...more], { cwd: await createFolder(files) })
  const good = { 'certificate.json': `${certificate}\n`, 'signer.pub': signer.publicKey.pem }

  test('says who claimed what, without a configuration or a database', async () => {
    const { code, stdout, stderr } = await run(good)
    expect([code, stderr]).toEqual([0, ''])
    for (const part of [
      `The signature is good: the holder of key ${signer.publicKey.signer} claimed exactly this.`,
      'Key aaaqeaye of keyring "app" was retired (rotation r1); issued 2026-11-21T10:00:00.000Z',
      'Not complete: 2 values set aside.',
      '  public.users.token  keyturn_aaaqeaye_1',
      `The audit log stood at 7:${'ab'.repeat(32)}`,
    ])
      expect(
        stdout.split('\n').some((line) => line.includes(part)),
        part,
      ).toBe(true)
    expect(JSON.parse((await run(good, '--json')).stdout)).toMatchObject({ valid: true, claim: { complete: false } })
  })

  test.each([
    ['a claim that was changed', { 'certificate.json': certificate.replace('"count":2', '"count":0') }, 'ERR_CERTIFICATE'],
    ['another writing of it', { 'certificate.json': JSON.stringify(JSON.parse(certificate), null, 1) }, 'ERR_CERTIFICATE'],
    ['another signer', { 'signer.pub': signingKey('6b'.repeat(32), 'test').publicKey.pem }, 'ERR_CERTIFICATE'],
  ])('%s ends with 1', async (_, files, error) => {
    const { code, stdout, stderr } = await run({ ...good, ...files })
    expect([code, stdout, stderr]).toEqual([1, '', expect.stringContaining(`[${error}]`)])
  })

  test('a private key in place of the public one is refused and not repeated', async () => {
    const { stdout: key } = await runCommand(['keygen', '--format', 'ed25519'])
    const { code, stdout, stderr } = await run({ ...good, 'signer.pub': key })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).not.toContain(key.split('\n')[1])
  })

  test('without a public key it is refused', async () => {
    const cwd = await createFolder(good)
    const { code, stderr } = await runCommand(['certificate', 'verify', 'certificate.json'], { cwd })
    expect([code, stderr]).toEqual([2, expect.stringContaining('say whose signature it should be')])
    expect((await runCommand(['certificate', 'verify', 'nothere', '--public-key', 'signer.pub'], { cwd })).code).toBe(2)
  })
})

describe('audit verify --expect CHECKPOINT --public-key FILE', () => {
  const [signer, stranger] = [signingKey('5a'.repeat(32), 'test'), signingKey('6b'.repeat(32), 'test')]
  const event = { actor: 'library', action: 'keyring.create', subject: 'keyring/app', data: {} }
  const logged = nextEvent(emptyHead, event, new Date('2026-11-21T10:00:00Z'))
  const standing = { head: headText(logged), at: '2026-11-21T10:00:01.000Z' }
  const checkpoint = (key: typeof signer | null) => checkpointLine(makeCheckpoint(standing, key))
  const files = { 'audit.jsonl': `${eventLine(logged)}\n`, 'signer.pub': signer.publicKey.pem }
  const run = async (...more: string[]) =>
    runCommand(['audit', 'verify', '--file', 'audit.jsonl', ...more], { cwd: await createFolder(files) })

  test('an auditor who has the public key alone checks a log by a checkpoint, and the checkpoint by its signature', async () => {
    expect(await run('--expect', checkpoint(signer), '--public-key', 'signer.pub')).toMatchObject({ code: 0, stderr: '' })
    const { code, stdout } = await run('--expect', checkpoint(signer).replace(/"1:../, '"1:00'), '--public-key', 'signer.pub')
    expect([code, stdout]).toEqual([1, ''])
  })

  test.each<[string, typeof signer | null]>([
    ['of another signer', stranger],
    ['without a signature', null],
  ])('a checkpoint %s is refused', async (_, key) => {
    const { code, stderr } = await run('--expect', checkpoint(key), '--public-key', 'signer.pub')
    expect([code, stderr]).toEqual([1, expect.stringContaining('[ERR_CERTIFICATE]')])
  })

  test('a bare head has no signature, and a public key alone has nothing to check', async () => {
    expect((await run('--expect', standing.head, '--public-key', 'signer.pub')).code).toBe(1)
    expect((await run('--public-key', 'signer.pub')).code).toBe(2)
    expect((await run('--expect', standing.head, '--public-key', 'nothere.pub')).code).toBe(2)
  })
})
