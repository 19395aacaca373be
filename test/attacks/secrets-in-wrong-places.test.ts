import { inspect } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { env } from '../../packages/core/src/config/config.ts'
import { fail } from '../../packages/core/src/errors.ts'
import { open } from '../../packages/core/src/open.ts'
import { config, environment, refill } from '../evidence/world.ts'
import { createFolder, runCommand } from '../harness/command.ts'
import { useDatabase } from '../harness/postgres.ts'

// People put keys where names belong. What Keyturn says then stands in the logs of a build.
const server = useDatabase()
beforeAll(() => refill(server.pool, 1))
const hex = '4f'.repeat(32)
const characters = '9e107d9d372bb6826bd81d3542a419d6'
const base64 = 'q1Zf9sT0bXyE3nUuKc7rVw2LhJ5mGpDa8oIxRtN6vB4='
const pem = `-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIFtbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tb\n-----END PRIVATE KEY-----`
const address = 'postgres://app:hunter2hunter2@db.internal:5432/app'
const passphrase = 'correct horse battery staple'
const base36 = 'k3y9abcdefghijklmnopqrstuvwxyz12'

const token = config.fields['tokens.token']
const withField = (more: object) => ({ ...config, fields: { 'tokens.token': { ...token, ...more } } })
const withRoot = (root: unknown) => ({ ...config, keyrings: { app: { root } } })

describe('A secret in the wrong place of a configuration is refused and not repeated', () => {
  test.each<[string, string, unknown]>([
    ['a root key as the name of its variable', hex, withRoot(env(hex))],
    ['a key of 32 characters as the name of its variable', base36, withRoot(env(base36))],
    [
      'a passphrase as the name of its variable, among the options of a wrapper',
      passphrase,
      withRoot({ wrapper: 'local', id: 'ops', passphrase: env(passphrase) }),
    ],
    ['the same in a list of roots', passphrase, withRoot([env('ROOT'), { wrapper: 'local', id: 'ops', passphrase: env(passphrase) }])],
    ['a passphrase among the options of a wrapper', passphrase, withRoot({ wrapper: 'local', id: 'ops', passphrase })],
    ['a private key in place of its file', pem, withRoot({ file: pem })],
    ['a private key in place of its file, among the options of a wrapper', pem, withRoot({ wrapper: 'local', key: { file: pem } })],
    ['a key as the name of a keyring', hex, withField({ keyring: hex })],
    ['a key as the codec that a field writes', hex, withField({ writes: hex })],
    ['a key as a codec that a field reads', base64, withField({ reads: [base64] })],
    ['a key as the name of a property', hex, withRoot({ [hex]: 1 })],
    ['a key as the name of a property of the top', characters, { ...config, [characters]: 1 }],
    ['a key wrapper named like a key', hex, withRoot({ wrapper: hex })],
    ['an address as a column', 'hunter2', withField({ column: address })],
    ['an address as a schema', 'hunter2', { ...config, schema: address }],
    ['a key as a column that is bound', hex, withField({ bind: [hex] })],
    ['a key as an option of a codec', hex, withField({ reads: [{ codec: 'hex-colon', key: env('OLD'), order: hex }] })],
  ])('%s', async (_, secret, wrong) => {
    const error = await open(wrong as never, { pool: server.pool, env: environment, warn: () => {} }).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_[A-Z_]+$/) })
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(secret)
  })
})

describe('A secret in the wrong place of a command line is refused and not repeated', () => {
  test.each<[string, string, string[]]>([
    ['an address as the verb', 'hunter2', [address]],
    ['a key as the verb', hex, [hex]],
    ['an address as the keyring', 'hunter2', ['rotate', address, '--yes']],
    ['a key as the keyring', base64, ['verify', base64]],
    ['a key as a field', hex, ['verify', '--field', hex]],
    ['a key as a rotation', characters, ['resume', characters, '--yes']],
    ['a key as a key version', hex, ['retire', 'app', '--version', hex, '--yes']],
    [
      'a key as the variable of a key',
      base36,
      ['rotate', '--field', 'a.b', '--format', 'hex-colon', '--old-env', base36, '--new-env', 'N'],
    ],
    ['a key as the variable of an address', base36, ['status', '--database', `env:${base36}`]],
    ['a key as the target', hex, ['rotate', '--field', 'a.b', '--format', 'hex-colon', '--old-env', 'OLD', '--to', hex, '--yes']],
    ['a key as a preset', base64, ['presets', 'show', base64]],
    ['a key as a certificate', hex, ['certificate', 'show', hex]],
    ['a key as a format', hex, ['rotate', '--field', 'a.b', '--format', hex, '--old-env', 'OLD', '--new-env', 'ROOT']],
    ['an address as the head of the log', 'hunter2', ['audit', 'verify', '--expect', address]],
  ])('%s', async (_, secret, argv) => {
    const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify({ ...config, database: env('DATABASE_URL') }) })
    for (const more of [[], ['--json']]) {
      const { code, stdout, stderr } = await runCommand([...argv, ...more], { cwd, env: { ...environment, DATABASE_URL: server.url } })
      expect(code).not.toBe(0)
      expect(stdout + stderr).toMatch(/ERR_[A-Z_]+/)
      expect(stdout + stderr).not.toContain(secret)
    }
  })
})

test('What looks like a secret is left out of every sentence, and a path or a head of the audit log is not', () => {
  const said = (text: string) => fail('ERR_USAGE', text).message
  for (const secret of [hex, hex.toUpperCase(), characters, base64, base64.replace('=', ''), pem, address]) {
    expect(said(`there is no "${secret}". Is it there?`)).toBe(secret === pem ? 'there is no "…' : 'there is no "…". Is it there?')
    expect(said(secret)).toBe('…')
  }
  expect(said('postgres://h/db?password=hunter2')).toBe('…')
  for (const name of [
    `/builds/${characters}/keyturn.config.ts`,
    `/var/cache/keyturn/${hex}`,
    `12:${hex}`,
    '0b0f7d3a-5a5e-4c3f-9d3e-2f6b1f0c9a77',
    'postgres://user@host/name',
    'Use postgres://… or pglite:FOLDER',
    'public.github_configs.encryptedToken',
    'AVeryLongNameOfATableThatEndsWithTheNumber42',
  ])
    expect(said(name)).toBe(name)
})

test('A root id with line breaks and colours, written by a database writer, stays one plain line of a log', async () => {
  const stored = { ...config, fields: {}, keyrings: { lines: { root: env('ROOT') } } }
  await (await open(stored, { pool: server.pool, env: environment })).close()
  await server.pool.query(`UPDATE keyturn.key_wrapping SET root_id = E'local:x\\n2026-11-21 [info] all is well\\x1b[2K'`)
  const error = await open(stored, { pool: server.pool, env: environment }).catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'ERR_ROOT_KEY', message: expect.stringMatching(/^[^\p{Cc}]+$/u) })
})

test('Members that every object has are no variables of the environment', async () => {
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    const options = { pool: server.pool, env: environment, warn: () => {} }
    await expect(open(withRoot(env(name)) as never, options)).rejects.toMatchObject({ code: 'ERR_ENV_MISSING' })
    await expect(open({ ...config, keyrings: { app: { primary: env(name) } } }, options)).rejects.toMatchObject({ code: 'ERR_ENV_MISSING' })
    const unsigned = await open({ ...config, signing: { key: env(name) } }, { ...options, readOnly: true })
    await unsigned.close()
    const { code, stderr } = await runCommand(['status', '--database', `env:${name}`], { env: environment })
    expect([code, stderr]).toEqual([2, expect.stringContaining('[ERR_ENV_MISSING]')])
  }
})
