import { expect, test } from 'vitest'
import { environment } from '../evidence/world.ts'
import { writeOld } from '../rotation/world.ts'
import { type Answered, type Asked, passwordOf } from './server-people.ts'
import { names, useWorld } from './server-world.ts'

const world = useWorld()
const plaintext = 'sk_live_MARKED'
/** What somebody types into the wrong place. */
const misplaced = 'hunter2-MISPLACED-hunter2'
const seen: string[] = []

/** Asks, and keeps what came back: all of it, but for what is given to whoever it is for, in cookies and once. */
async function ask(method: string, path: string, asked: Asked = {}): Promise<Answered> {
  const answered = await world.ask(method, path, asked)
  const { 'set-cookie': _, ...headers } = answered.headers
  seen.push(`${method} ${path}`, JSON.stringify(headers), path === '/v1/tokens' && method === 'POST' ? '' : answered.text)
  return answered
}

async function rotateEverything(bearer: string): Promise<string> {
  const { body: plan } = await ask('POST', '/v1/plans', { bearer, body: { keyring: 'app' } })
  expect(plan).toMatchObject({ keyring: 'app' })
  const { status, body } = await ask('POST', '/v1/rotations', {
    bearer,
    body: { keyring: 'app', accept: true },
    headers: { 'idempotency-key': 'once' },
  })
  expect(status).toBe(202)
  const id = String(body.id)
  const state = async () => (await ask('GET', `/v1/rotations/${id}`, { bearer })).body.state
  await expect.poll(state, { timeout: 120_000, interval: 200 }).toBe('completed')
  return id
}

async function useEverything(bearer: string, id: string): Promise<void> {
  await ask('POST', '/v1/census', { bearer, body: { keyring: 'app' } })
  await ask('POST', '/v1/verify', { bearer, body: {} })
  await expect
    .poll(async () => JSON.stringify((await ask('GET', '/v1/census', { bearer })).body), { timeout: 60_000 })
    .toContain('"running":false')
  for (const { method, path, role } of world.mounted) {
    if (method !== 'GET' || role === undefined) continue
    for (const filled of new Set([path.replace(':id', id).replace(':name', 'app'), path.replaceAll(/:\w+/g, 'nothing')]))
      await ask('GET', filled.replace('*', 'nothing'), { bearer })
  }
  for (const path of ['/', '/keys', '/v1/admin/encryption']) await ask('GET', path, { bearer, headers: { accept: 'text/html' } })
}

async function misplaceEverything(bearer: string): Promise<void> {
  const at = { address: '198.51.100.77' }
  await ask('POST', '/v1/session', { ...at, body: { name: misplaced, password: misplaced } })
  await ask('POST', '/v1/session', { ...at, body: { name: names.admin, password: misplaced } })
  await ask('POST', '/v1/session', { ...at, body: { name: names.admin, password: misplaced, [misplaced]: misplaced } })
  await ask('POST', '/v1/setup', { ...at, body: { token: misplaced, name: 'eve', password: misplaced } })
  await ask('POST', '/v1/users', { bearer, body: { name: `${misplaced} `, role: 'viewer', password: misplaced } })
  await ask('GET', `/v1/rotations?keyring=${misplaced}`, { bearer })
  await ask('GET', `/v1/session?password=${misplaced}`, { bearer })
  await ask('GET', '/v1/session', {
    headers: { authorization: `Bearer ${misplaced}`, cookie: `keyturn=${misplaced}`, 'x-api-key': misplaced },
  })
  await ask('POST', '/v1/root/rewrap', { bearer, body: { keyring: 'app', drop: misplaced } })
  await ask('POST', '/v1/plans', { bearer, headers: { 'content-type': 'application/json' }, body: `{"keyring": "${misplaced}` as never })
}

test('No secret leaves: not in an answer, a log line, an event, a measurement, or what the server keeps.', async () => {
  const { pool, url } = world.database
  for (const id of [1, 2, 3]) await pool.query('UPDATE tokens SET token = $1 WHERE id = $2', [writeOld(`${plaintext} ${id}`), id])
  const before = (await pool.query('SELECT token FROM tokens')).rows.map(({ token }) => String(token))
  const bearer = world.tokens.admin
  const cookies = await world.signIn('admin')
  const id = await rotateEverything(bearer)
  await useEverything(bearer, id)
  const made = await ask('POST', '/v1/tokens', {
    bearer,
    body: { name: 'marked', role: 'viewer' },
    headers: { 'idempotency-key': 'token' },
  })
  const own = 'a new password of ada'
  const changed = await ask('PATCH', '/v1/session', { cookies, body: { password: passwordOf('ada'), newPassword: own } })
  expect(changed.status).toBe(200)
  await misplaceEverything(bearer)
  const after = (await pool.query('SELECT token FROM tokens')).rows.map(({ token }) => String(token))
  expect(after.every((value) => value.startsWith('kt1.'))).toBe(true)

  const { rows: tables } = await pool.query(
    "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables WHERE table_schema LIKE 'keyturn%'",
  )
  const kept: string[] = []
  for (const { name } of tables) for (const { line } of (await pool.query(`SELECT t::text AS line FROM ${name} t`)).rows) kept.push(line)
  const keys = Object.values(environment).flatMap((key) => [
    key,
    Buffer.from(key, 'hex').toString('base64'),
    Buffer.from(key, 'hex').toString('base64url'),
  ])
  const secrets = [
    plaintext,
    ...keys,
    ...[...before, ...after].map((value) => value.slice(13, 45)),
    ...Object.values(names).map(passwordOf),
    own,
    ...Object.values(world.tokens),
    String(made.body.secret),
    ...Object.values(cookies),
    ...Object.values(changed.cookies),
    world.link,
    new URL(url).password,
  ].filter((secret) => secret.length >= 8)
  expect(secrets.length).toBeGreaterThan(25)
  const logged = world.logged.join('')
  expect([logged.length, seen.join('').length, kept.join('').length].every((length) => length > 2_000)).toBe(true)
  for (const secret of secrets)
    expect([secret, [logged, seen.join('\n'), kept.join('\n')].map((text) => text.includes(secret))]).toEqual([
      secret,
      [false, false, false],
    ])
  // Who sends it may see it again; nobody else.
  expect([logged, kept.join('\n')].map((text) => text.includes('MISPLACED'))).toEqual([false, false])
  expect(seen.join('\n')).not.toContain('$argon2id$')
})
