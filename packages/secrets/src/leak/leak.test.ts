import { open } from '@keyturn/core'
import { leakOfKey, leakOfSecret, leakTime, openSecrets, sealedSecrets } from '@keyturn/secrets'
import { expect, test } from 'vitest'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { issue, issuerOf } from '../../../../test/secrets/parts/issuer.ts'

const pglite = usePglite()
const secret = (risk: 'high' | 'low') => ({
  rotator: { rotator: './test/secrets/parts/issuer.ts', id: `leak ${risk}` },
  stores: [{ store: './test/secrets/parts/memory-store.ts', id: `leak ${risk}`, values: { KEY: '{value}' } }],
  first: { value: { env: risk.toUpperCase() } },
  risk,
})

/** An application with a field, secrets of two risks and a keyring for both. */
async function application() {
  const first = { low: issue('leak low', null), high: issue('leak high', null) }
  const env = { ROOT: '5e'.repeat(32), LOW: first.low.value, HIGH: first.high.value }
  await pglite().exec('CREATE TABLE IF NOT EXISTS users (id int PRIMARY KEY, token text)')
  const config = {
    // Short, so that the rotation of the keyring need not wait long; and longer than a slow machine stands still.
    refreshMs: 3000,
    keyrings: { app: { root: { env: 'ROOT' } } },
    fields: { ...sealedSecrets('app'), 'users.token': { column: 'users.token', keyring: 'app', bind: ['id'] } },
    secrets: { minor: secret('low'), major: secret('high') },
  }
  const keyturn = await open(config, { pglite: pglite(), env, warn: () => {} })
  return { keyturn, secrets: await openSecrets(keyturn, { pglite: pglite(), env }), values: Object.values(first).map(({ value }) => value) }
}

test('a leaked key exposes its values and the secrets that stand under it, until all of them are changed and it is retired.', async () => {
  const { keyturn, secrets, values } = await application()
  try {
    await pglite().query('INSERT INTO users VALUES (1, $1)', [await keyturn.field('users.token').encrypt('a token', { id: 1 })])
    for (const name of ['minor', 'major']) await secrets.settle((await secrets.rotate(name, { leaked: true })).id)
    const [active] = (await keyturn.keyrings('app'))[0]?.versions ?? []
    const version = active?.id ?? ''
    const found = await leakOfKey(keyturn, secrets, { keyring: 'app', version })
    expect(found.opens.map(({ what, name, values: counted, risk }) => [what, name, counted, risk])).toEqual([
      ['field', 'keyturn.sealed', 2, 'critical'],
      ['field', 'users.token', 1, 'critical'],
      ['secret', 'major', null, 'high'],
      ['secret', 'minor', null, 'low'],
    ])
    expect(found.mends.map(({ command }) => command)).toEqual([
      'keyturn rotate app',
      'keyturn retire app',
      'keyturn secrets rotate major --leaked',
      'keyturn secrets rotate minor --leaked',
    ])
    expect(found.exposed).toEqual([
      `key ${version} of keyring "app" is active: new values are written under it`,
      expect.stringMatching(/^values stand under it: (2 of keyturn\.sealed, 1 of users\.token|1 of users\.token, 2 of keyturn\.sealed)$/),
      expect.stringMatching(/^major: the credential in use since .* may be the one that others know$/),
      expect.stringMatching(/^minor: /),
    ])
    expect(found.unknown).toEqual([
      expect.stringContaining('What stood in users.token may have been read'),
      expect.stringContaining('Backups'),
    ])

    expect(found.mends.map(({ act }) => act)).toEqual([
      { kind: 'rotate-key', keyring: 'app' },
      { kind: 'retire-key', keyring: 'app', versions: [version] },
      { kind: 'rotate-secret', secret: 'major' },
      { kind: 'rotate-secret', secret: 'minor' },
    ])
    // Who keeps counts gives them: nothing is counted again, and what was never counted is no zero.
    const kept = await keyturn.census({ keyring: 'app' })
    await pglite().query('DELETE FROM users')
    expect((await leakOfKey(keyturn, secrets, { keyring: 'app', version, census: kept })).opens).toEqual(found.opens)
    const uncounted = await leakOfKey(keyturn, secrets, { keyring: 'app', version, census: null })
    expect(uncounted.opens.filter(({ what }) => what === 'field').map(({ values: counted }) => counted)).toEqual([null, null])
    expect(uncounted.unknown).toContainEqual(expect.stringContaining('not all were counted yet'))
    expect(uncounted.exposed.join()).not.toContain('values stand under it')

    await keyturn.rotate('app')
    await keyturn.retire('app')
    const retired = await leakOfKey(keyturn, secrets, { keyring: 'app', version })
    expect(retired.mends.map(({ command }) => command)).toEqual([
      'keyturn secrets rotate major --leaked',
      'keyturn secrets rotate minor --leaked',
    ])
    expect(retired.exposed).toEqual([expect.stringMatching(/^major: /), expect.stringMatching(/^minor: /)])
    for (const name of ['minor', 'major']) await secrets.settle((await secrets.rotate(name, { leaked: true })).id)
    const over = await leakOfKey(keyturn, secrets, { keyring: 'app', version })
    expect([over.exposed, over.mends]).toEqual([[], []])
    const whole = await leakOfKey(keyturn, secrets, { keyring: 'app' })
    expect([whole.subject, whole.exposed.length > 0]).toEqual([
      expect.objectContaining({ versions: expect.arrayContaining([version]) }),
      true,
    ])
    const text = JSON.stringify([found, retired, over, whole])
    for (const value of [...values, ...[...issuerOf('leak low').values(), ...issuerOf('leak high').values()].map((key) => key.value)])
      expect(text).not.toContain(value)
    await expect(leakOfKey(keyturn, secrets, { keyring: 'app', version: 'nosuchid' })).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
  } finally {
    await keyturn.close()
  }
})

test('a leaked secret is exposed while its old credential may work: in a grace, in a run that is not over, without a rotation since.', async () => {
  await pglite().exec('DROP SCHEMA keyturn CASCADE; TRUNCATE users')
  const { keyturn, secrets } = await application()
  try {
    const never = await leakOfSecret(secrets, 'major')
    expect(never).toMatchObject({
      exposed: ['major: the credential in use was never rotated here'],
      mends: [{ command: 'keyturn secrets rotate major --leaked' }],
    })
    const { id } = await secrets.settle((await secrets.rotate('major')).id, { waitMs: 0 })
    const inGrace = await leakOfSecret(secrets, 'major')
    expect(inGrace.exposed).toEqual([
      expect.stringContaining('may be the one that others know'),
      expect.stringMatching(/^major: the old credential is not confirmed to be ended; run run_\S+ is waiting at grace: /),
    ])
    expect(inGrace.mends).toMatchObject([
      { command: `keyturn secrets revoke ${id} --yes`, act: { kind: 'run', secret: 'major', run: id } },
      { command: 'keyturn secrets rotate major --leaked', act: null },
    ])
    // What leaked long ago was the one before.
    const before = { since: leakTime('2020-01-01') }
    expect((await leakOfSecret(secrets, 'major', before)).exposed).toEqual([expect.stringContaining('is not confirmed to be ended')])
    await secrets.revoke(id)
    await secrets.settle(id)
    expect((await leakOfSecret(secrets, 'major', before)).exposed).toEqual([])
    expect((await leakOfSecret(secrets, 'major')).exposed).toEqual([expect.stringContaining('may be the one that others know')])
    // One that answers the leak needs nothing but to end: there is no grace to be ended, and no other rotation to come.
    const answering = await secrets.rotate('major', { leaked: true })
    expect((await leakOfSecret(secrets, 'major')).mends).toEqual([
      { command: null, why: expect.stringContaining('goes on by itself'), act: { kind: 'run', secret: 'major', run: answering.id } },
    ])
    await secrets.settle(answering.id)
    const over = await leakOfSecret(secrets, 'major')
    expect([over.exposed, over.unknown.at(-1)]).toEqual([[], expect.stringContaining('If so, rotate it again.')])
    // Before it is promoted the old one is in use: nothing can be ended yet.
    const usual = await secrets.rotate('major')
    expect((await leakOfSecret(secrets, 'major')).mends).toMatchObject([
      { command: null, act: { run: usual.id } },
      { command: 'keyturn secrets rotate major --leaked', act: null },
    ])
    expect(() => leakTime('yesterday')).toThrow('2026-11-21')
  } finally {
    await keyturn.close()
  }
})

test('keys of the environment and keys that sign tokens are named with what mends them.', async () => {
  await pglite().exec('DROP SCHEMA IF EXISTS keyturn CASCADE; TRUNCATE users')
  const env = { ROOT: '5e'.repeat(32), KEY: 'a7'.repeat(32), OLD: '1b'.repeat(32) }
  const config = {
    keyrings: {
      shared: { primary: { env: 'KEY' }, previous: [{ env: 'OLD' }] },
      tokens: { root: { env: 'ROOT' }, sign: 'ES256' as const },
      web: { root: { env: 'ROOT' } },
    },
    fields: {
      'web.session': { column: 'redis:leak:*:/token', keyring: 'web' },
      'users.token': { column: 'users.token', keyring: 'shared', writes: 'hex-colon' as const },
    },
  }
  const keyturn = await open(config, { pglite: pglite(), env, warn: () => {} })
  try {
    await pglite().query('INSERT INTO users VALUES (1, $1)', [await keyturn.field('users.token').encrypt('a token')])
    const shared = await leakOfKey(keyturn, null, { keyring: 'shared' })
    expect(shared.opens).toMatchObject([{ what: 'field', name: 'users.token', values: 1 }])
    expect(shared.exposed).toHaveLength(3)
    expect(shared.exposed.at(-1)).toBe('values stand under it: 1 of users.token')
    expect(shared.mends).toEqual([{ command: null, why: expect.stringContaining('then "keyturn rotate shared"'), act: null }])
    // Of what stands in sessions there is no issuer: they end.
    const web = await leakOfKey(keyturn, null, { keyring: 'web', census: null })
    expect(web.mends.map(({ command }) => command)).toEqual([
      'keyturn rotate web',
      'keyturn retire web',
      'keyturn sessions end --field web.session',
    ])
    const tokens = await leakOfKey(keyturn, null, { keyring: 'tokens' })
    expect(tokens.opens).toMatchObject([{ what: 'tokens', name: 'tokens', risk: 'critical', values: null }])
    expect(tokens.mends.map(({ command }) => command)).toEqual(['keyturn rotate tokens --now', 'keyturn retire tokens --compromised'])
    await keyturn.signing('tokens').rotate({ now: true })
    const [before] = tokens.subject.kind === 'key' ? tokens.subject.versions : []
    const rotated = await leakOfKey(keyturn, null, { keyring: 'tokens', version: before ?? '' })
    expect(rotated.mends.map(({ command }) => command)).toEqual(['keyturn retire tokens --compromised'])
  } finally {
    await keyturn.close()
  }
})
