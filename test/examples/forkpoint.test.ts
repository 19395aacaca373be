import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { count } from '../harness/counts.ts'
import { useDatabase } from '../harness/postgres.ts'
import {
  ask,
  buildForkpoint,
  type Forkpoint,
  type Keys,
  login,
  newSecret,
  printed,
  refusedStart,
  type Surroundings,
  startForkpoint,
} from './forkpoint/application.ts'
import { startBalancer } from './forkpoint/balancer.ts'
import { accountOf, type Services, startServices } from './forkpoint/providers.ts'
import { columns, fill, type Kind, kinds, opened, readStored, settingsOf } from './forkpoint/stored.ts'
import { Traffic } from './forkpoint/traffic.ts'
import type { Image } from './image.ts'
import { readProcedure, type Step } from './procedure.ts'

const server = useDatabase()
const [jwt, master] = [newSecret(), newSecret()]
const running = new Set<Forkpoint>()
const secrets = [jwt, master]
/** Only to end what hangs. */
const patient = { timeout: 120_000 }
let image: Image
let services: Services

beforeAll(async () => {
  image = await buildForkpoint()
  services = await startServices()
}, 300_000)
afterAll(async () => {
  await services?.close()
})
beforeEach(async () => {
  await server.pool.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA IF EXISTS keyturn CASCADE')
})
afterEach(async () => {
  for (const instance of running) await stop(instance)
  // In no test has a process printed a key, a token or a stored value.
  for (const said of printed.splice(0)) {
    for (const one of secrets) expect(said.includes(one)).toBe(false)
    expect(said).not.toMatch(/marked-|[0-9a-f]{24}:[0-9a-f]{32}:/)
  }
})

const surroundings = (): Surroundings => ({ image, databaseUrl: server.url, slackUrl: `${services.url}/slack` })
async function start(keys: Keys): Promise<Forkpoint> {
  const instance = await startForkpoint(surroundings(), keys)
  running.add(instance)
  return instance
}
async function stop(instance: Forkpoint): Promise<void> {
  running.delete(instance)
  await instance.stop()
}
function secret(): string {
  const made = newSecret()
  secrets.push(made)
  return made
}

/** Saves a configuration of each kind with a token of its own. @returns the tokens by `kind/id` */
async function saveEach(instance: Forkpoint, id: string): Promise<Map<string, string>> {
  const tokens = new Map(kinds.map((kind) => [`${kind}/${id}`, services.issue()]))
  for (const [name, token] of tokens) {
    const body = { ...settingsOf(name.split('/')[0] as Kind, services.url), token }
    expect(await instance.ask('PUT', `/configs/${name}`, { body })).toMatchObject({ status: 200 })
  }
  return tokens
}
/** Uses each token at its service, which says whose it is. */
async function expectUsed(instance: Forkpoint, tokens: ReadonlyMap<string, string>): Promise<void> {
  for (const [name, token] of tokens)
    expect(await instance.ask('POST', `/configs/${name}/check`), name).toMatchObject({ status: 200, body: { account: accountOf(token) } })
}
const status = async (instance: Forkpoint) => (await instance.ask('GET', '/admin/encryption')).body
const needed = 'encryption-rewrap-needed'
const unnamed = (count: number, name: string) => Array.from({ length: count }, (_, n) => `${name}-${n}`)
const rows = (perKind: number, prefix: string) =>
  new Map(kinds.flatMap((kind) => unnamed(perKind, prefix).map((id) => [`${kind}/${id}`, services.issue()])))

/** Installs the application in a Slack workspace: the cookie that begins it, and the end. */
async function beginInstallation(instance: Forkpoint) {
  const { body, headers } = await instance.ask('POST', '/oauth/slack/start')
  const cookie = headers.get('set-cookie')?.split(';')[0] ?? ''
  const state = new URL(body.url).searchParams.get('state')
  const [bot, user] = [services.issue(), services.issue()]
  services.codes.set(`code-${state}`, { bot, user })
  return { cookie, callback: `/oauth/slack/callback?state=${state}&code=code-${state}`, bot, user }
}

test('F1 Tokens of Jira, GitHub and Slack, of its bot and its users, and secrets of webhooks are encrypted at rest with AES-256-GCM, under a key that any 16 characters give', async () => {
  const sixteen = secret().slice(0, 16)
  secrets.push(sixteen)
  const instance = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: sixteen })
  const tokens = await saveEach(instance, 'a')
  const { cookie, callback, bot, user } = await beginInstallation(instance)
  expect(await ask(instance.url, 'GET', callback, { cookie })).toMatchObject({ status: 200, body: { installed: 'T1' } })
  tokens.set('slack/T1-bot', bot).set('slack/T1-user', user)
  await expectUsed(instance, tokens)

  expect(await opened(server.pool, sixteen)).toEqual(tokens)
  for (const stored of (await readStored(server.pool)).values()) expect(stored).toMatch(/^[0-9a-f]{24}:[0-9a-f]{32}:[0-9a-f]+$/)
  for (const { table } of Object.values(columns)) {
    const { rows } = await server.pool.query(`SELECT row_to_json(t)::text AS line FROM ${table} t`)
    for (const { line } of rows) expect(line).not.toContain('marked-')
  }
  for (const kind of kinds) {
    const { body } = await instance.ask('GET', `/configs/${kind}`)
    expect(body).toContainEqual({ id: 'a', ...settingsOf(kind, services.url) })
    expect(JSON.stringify(body)).not.toContain('oken"')
  }

  const refused = await refusedStart(surroundings(), { JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: sixteen.slice(1) })
  expect(refused.code).toBe(1)
  expect(refused.message).toContain('ENCRYPTION_MASTER_KEY is not a key by the rule \\"passphrase\\": it must have at least 16 characters')
})

test('F2 One leak does not both forge sessions and open tokens; what JWT_SECRET signs outlives a new master key', async () => {
  const before = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master })
  const tokens = await saveEach(before, 'a')
  expect((await opened(server.pool, jwt)).size).toBe(0)
  const forger = await start({ JWT_SECRET: master })
  expect(await before.ask('GET', '/configs/jira', { token: forger.token })).toMatchObject({ status: 401 })
  expect(await before.ask('GET', '/configs/jira', { token: `${before.token.slice(0, -4)}AAAA` })).toMatchObject({ status: 401 })
  // Signed, not encrypted: anybody can read it.
  expect(JSON.parse(Buffer.from(before.token.split('.')[1] ?? '', 'base64url').toString())).toMatchObject({ sub: 'admin' })
  const installation = await beginInstallation(before)
  const [, cookie = ''] = installation.cookie.split('=')
  expect(JSON.parse(Buffer.from(cookie.split('.')[0] ?? '', 'base64url').toString())).toHaveProperty('state')

  const next = secret()
  const after = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: next, ENCRYPTION_MASTER_KEY_PREVIOUS: master })
  expect(await after.ask('POST', '/admin/encryption/rewrap')).toMatchObject({ status: 200 })
  expect(await opened(server.pool, next)).toEqual(tokens)
  expect(await after.ask('GET', '/configs/jira', { token: before.token })).toMatchObject({ status: 200 })
  const elsewhere = await ask(after.url, 'GET', installation.callback, { cookie: (await beginInstallation(forger)).cookie })
  expect(elsewhere.status).toBe(403)
  const { callback } = await beginInstallation(after)
  expect((await ask(after.url, 'GET', callback, { cookie: installation.cookie })).status).toBe(403)
  expect((await ask(after.url, 'GET', installation.callback, { cookie: installation.cookie })).status).toBe(200)
})

test('F3 While ENCRYPTION_MASTER_KEY is not set, JWT_SECRET encrypts, and each start warns of it once', async () => {
  for (const unsetKey of [undefined, '']) {
    const instance = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: unsetKey })
    const tokens = await saveEach(instance, 'a')
    await expectUsed(instance, tokens)
    expect(await opened(server.pool, jwt)).toEqual(tokens)
    const warnings = instance.events('encryption-key-warning')
    expect(warnings).toMatchObject([{ level: 40, msg: expect.stringMatching(/^ENCRYPTION_MASTER_KEY is not set: .* JWT_SECRET instead/) }])
    // Before it listens, so that nobody has to wait for a read.
    const log = instance.log()
    expect(log.findIndex(({ event }) => event === 'encryption-key-warning')).toBeLessThan(
      log.findIndex(({ msg }) => msg?.includes('listening')),
    )
  }
})

test('F4 From the day that the two differ the master key encrypts and JWT_SECRET goes on opening what it encrypted; where they are equal there is no fallback and the warning stays', async () => {
  const before = await start({ JWT_SECRET: jwt })
  const old = await saveEach(before, 'old')
  const after = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master })
  await expectUsed(after, old)
  const fresh = await saveEach(after, 'fresh')
  expect([await opened(server.pool, jwt), await opened(server.pool, master)]).toEqual([old, fresh])
  expect(after.events('encryption-key-warning')).toEqual([])
  await expectUsed(after, new Map([...old, ...fresh]))
  // No downtime, once an instance that does not use the new key yet knows it.
  const informed = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY_PREVIOUS: master })
  await expectUsed(informed, new Map([...old, ...fresh]))
  expect(await before.ask('POST', '/configs/jira/fresh/check')).toMatchObject({ status: 503, body: { code: 'ERR_DECRYPT' } })

  const equal = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: jwt })
  await expectUsed(equal, old)
  expect(equal.events(needed)).toEqual([])
  expect(equal.events('encryption-key-warning')).toMatchObject([{ msg: expect.stringContaining('are the same key') }])
  expect((await status(equal)).keys).toEqual([{ source: 'ENCRYPTION_MASTER_KEY', encrypts: true, values: 4 }])
})

test('F5 Each read that needed the fallback is one structured event, and no other read is', async () => {
  const old = await saveEach(await start({ JWT_SECRET: jwt }), 'old')
  const instance = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master })
  const fresh = await saveEach(instance, 'fresh')
  for (const kind of kinds) await instance.ask('GET', `/configs/${kind}`)
  await expectUsed(instance, fresh)
  expect(instance.events(needed)).toEqual([])
  for (let read = 0; read < 3; read++) await expectUsed(instance, old)
  await expect
    .poll(() => instance.events(needed).map(({ field }) => field), patient)
    .toEqual([1, 2, 3].flatMap(() => kinds.map((kind) => `${columns[kind].table}.${columns[kind].column}`)))
  for (const { level, time, pid, hostname, name, ...said } of instance.events(needed))
    expect(said).toEqual({ event: needed, field: expect.any(String), codec: 'hex-colon' })
})

test('F6 Saving a configuration encrypts its token again with the primary key, also where the token stays as it is; what nobody saves stays readable', async () => {
  const old = await saveEach(await start({ JWT_SECRET: jwt }), 'old')
  const instance = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master })
  const names = [...old.keys()]
  for (const [n, name] of names.entries()) {
    expect((await opened(server.pool, master)).size).toBe(n)
    expect((await status(instance)).remaining).toBe(names.length - n)
    await expectUsed(instance, old)
    // Without a token: it keeps the one it has.
    expect(await instance.ask('PUT', `/configs/${name}`, { body: { name: 'renamed' } })).toMatchObject({ status: 200 })
  }
  expect([(await opened(server.pool, jwt)).size, await opened(server.pool, master)]).toEqual([0, old])
  expect((await instance.ask('GET', '/configs/jira')).body).toMatchObject([{ name: 'renamed', baseUrl: `${services.url}/jira` }])
  // What it prints comes after its answers.
  let before = -1
  const isSettled = () => {
    const earlier = before
    before = instance.events(needed).length
    return before === earlier
  }
  await expect.poll(isSettled, { interval: 300, ...patient }).toBe(true)
  await expectUsed(instance, old)
  expect(instance.events(needed)).toHaveLength(before)

  // Two who save at the same time: the one that keeps the token does not bring back the one before.
  for (let round = 0; round < count(10, 200); round++) {
    const token = services.issue()
    const both = [{ token }, { name: `renamed ${round}` }].map((body) => instance.ask('PUT', '/configs/jira/old', { body }))
    expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200])
    await expectUsed(instance, new Map([['jira/old', token]]))
  }
  // A token that no key opens is replaced by saving a new one.
  await server.pool.query(`UPDATE github_configs SET "encryptedToken" = overlay("encryptedToken" PLACING '00' FROM 60)`)
  expect(await instance.ask('PUT', '/configs/github/old', { body: { name: 'kept' } })).toMatchObject({ status: 503 })
  const [token, repaired] = [services.issue(), 'github/old'] as const
  await instance.ask('PUT', `/configs/${repaired}`, { body: { token } })
  await expectUsed(instance, new Map([[repaired, token]]))
})

test('F7 All records are rewrapped on demand, with progress; what remains is counted exactly, before, meanwhile and after, and a rewrap that was stopped goes on', async () => {
  const perKind = count(300, 20_000)
  const instance = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master })
  const [old, fresh] = [rows(perKind, 'old'), rows(7, 'fresh')]
  await fill(server.pool, services.url, old, jwt)
  await fill(server.pool, services.url, fresh, master)
  const broken = await server.pool.query(`UPDATE webhooks SET "encryptedSecret" = 'no ciphertext' WHERE id IN ('old-0', 'old-1')`)
  for (const id of ['old-0', 'old-1']) old.delete(`webhooks/${id}`)
  const total = old.size + fresh.size + (broken.rowCount ?? 0)
  expect(await status(instance)).toMatchObject({
    total,
    remaining: old.size,
    unreadable: 2,
    keys: [
      { source: 'ENCRYPTION_MASTER_KEY', encrypts: true, values: fresh.size },
      { source: 'JWT_SECRET', encrypts: false, values: old.size },
    ],
    fields: expect.arrayContaining([{ field: 'webhooks.encryptedSecret', total: perKind + 7, remaining: perKind - 2, unreadable: 2 }]),
  })

  // So slow that the end of the process comes first, whatever else the machine does.
  const slow = instance.ask('POST', '/admin/encryption/rewrap?rowsPerSecond=50')
  const rewrapped = async () => (await opened(server.pool, master)).size - fresh.size
  await expect.poll(rewrapped).toBeGreaterThan(0)
  instance.terminate()
  const stopped = (await slow).body
  await stop(instance)
  const done = await rewrapped()
  expect(done).toBeLessThan(old.size)
  expect(stopped.at(-1)).toMatchObject({ state: 'paused', rotated: done, remaining: old.size - done })

  const next = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master })
  expect(await status(next)).toMatchObject({ total, remaining: old.size - done, unreadable: 2 })
  const { status: answered, body: lines } = await next.ask('POST', '/admin/encryption/rewrap')
  expect(answered).toBe(200)
  const progress = lines.slice(0, -1)
  expect(progress.length).toBeGreaterThan(0)
  for (const { rowsDone, rowsTotal } of progress) expect(rowsDone).toBeLessThanOrEqual(rowsTotal)
  expect(lines.at(-1)).toEqual({
    state: 'completed',
    rotated: old.size,
    remaining: 0,
    unreadable: 2,
    setAside: 2,
    failed: ['old-0', 'old-1'].map((id) => ({ field: 'webhooks.encryptedSecret', row: { id }, reason: 'ERR_DECRYPT' })),
  })
  expect(await opened(server.pool, master)).toEqual(new Map([...old, ...fresh]))
  expect((await readStored(server.pool)).get('webhooks/old-0')).toBe('no ciphertext')
  expect((await status(next)).keys).toMatchObject([{ values: total - 2 }, { source: 'JWT_SECRET', values: 0 }])
  expect((await next.ask('POST', '/admin/encryption/rewrap')).body.at(-1)).toMatchObject({ state: 'completed', rotated: 0, remaining: 0 })
  expect(next.events(needed)).toEqual([])
})

test('F8 Once nothing needs it the fallback is taken away, and JWT_SECRET changes by itself', async () => {
  const keys = { JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master }
  const tokens = await saveEach(await start({ JWT_SECRET: jwt }), 'a')
  const before = await start(keys)
  expect((await status(before)).keys).toContainEqual({ source: 'JWT_SECRET', encrypts: false, values: 4 })
  // What would happen too early: the status says so, and so does every read.
  const early = await start({ ...keys, ENCRYPTION_JWT_FALLBACK: 'off' })
  expect(await status(early)).toMatchObject({ total: 4, remaining: 0, unreadable: 4 })
  expect(await early.ask('POST', '/configs/jira/a/check')).toMatchObject({ status: 503, body: { code: 'ERR_DECRYPT' } })

  // A JWT_SECRET that cannot wait for that stays among the previous keys.
  await expectUsed(await start({ ...keys, JWT_SECRET: secret(), ENCRYPTION_MASTER_KEY_PREVIOUS: jwt }), tokens)

  await before.ask('POST', '/admin/encryption/rewrap')
  expect((await status(before)).keys).toContainEqual({ source: 'JWT_SECRET', encrypts: false, values: 0 })
  await expectUsed(early, tokens)
  expect((await status(early)).keys).toEqual([{ source: 'ENCRYPTION_MASTER_KEY', encrypts: true, values: 4 }])

  const nextJwt = secret()
  const grace = await start({ ...keys, JWT_SECRET: nextJwt, JWT_SECRET_PREVIOUS: jwt, ENCRYPTION_JWT_FALLBACK: 'off' })
  const after = await start({ ...keys, JWT_SECRET: nextJwt, ENCRYPTION_JWT_FALLBACK: 'off' })
  for (const instance of [grace, after]) {
    await expectUsed(instance, tokens)
    expect([...instance.events(needed), ...instance.events('encryption-key-warning')]).toEqual([])
    expect((await instance.ask('GET', '/configs/jira', { token: after.token })).status).toBe(200)
  }
  expect((await grace.ask('GET', '/configs/jira', { token: before.token })).status).toBe(200)
  expect((await after.ask('GET', '/configs/jira', { token: before.token })).status).toBe(401)

  const none = await refusedStart(surroundings(), { JWT_SECRET: jwt, ENCRYPTION_JWT_FALLBACK: 'off' })
  expect(none).toMatchObject({ code: 1, message: expect.stringContaining('ENCRYPTION_MASTER_KEY is not set') })
})

/** Three instances behind a proxy, with clients that save and use tokens all the time: what the README says is done to them. */
async function follow(steps: readonly Step[], tokens: ReadonlyMap<string, string>): Promise<Traffic> {
  const keysOf = ({ keys }: Step): Keys => ({ JWT_SECRET: jwt, ...keys })
  const [before, ...rest] = steps as [Step, ...Step[]]
  let instances = await Promise.all([1, 2, 3].map(() => start(keysOf(before))))
  const balancer = await startBalancer()
  for (const { url } of instances) balancer.add(url)
  const token = await login(balancer.url)
  const traffic = new Traffic(balancer.url, token, services, tokens)

  /** One after the other: the others serve meanwhile, beside those that have the new environment. */
  const restart = async (keys: Keys) => {
    const started: Forkpoint[] = []
    for (const instance of instances) {
      await balancer.drain(instance.url)
      await stop(instance)
      const successor = await start(keys)
      balancer.add(successor.url)
      started.push(successor)
      // Long enough that each instance has met what the others write.
      await traffic.more(2 * tokens.size, 6)
    }
    instances = started
  }
  const rewrap = async () => {
    const { remaining, unreadable } = await status(instances[0] as Forkpoint)
    expect({ remains: remaining > 0, unreadable }).toEqual({ remains: true, unreadable: 0 })
    const { body: lines } = await ask(balancer.url, 'POST', '/admin/encryption/rewrap', { token })
    expect(lines.at(-1)).toMatchObject({ state: 'completed', remaining: 0, setAside: 0 })
    const needed = (await status(instances[0] as Forkpoint)).keys.map(({ values }: { values: number }) => values)
    expect(needed).toEqual([tokens.size, ...needed.slice(1).fill(0)])
  }
  try {
    await traffic.more(tokens.size, 6)
    for (const step of rest) await (step.does === 'restart' ? restart(keysOf(step)) : rewrap())
  } finally {
    await traffic.stop()
    await balancer.close()
  }
  expect(rest.map(({ does }) => does)).toEqual(['restart', 'restart', 'rewrap', 'restart'])
  for (const instance of instances) expect(instance.events(needed)).toEqual([])
  return traffic
}

test('F4 No downtime: from JWT_SECRET to a key of its own as the README has it, through three rolling restarts and the rewrap, no read fails', async () => {
  await stop(await start({ JWT_SECRET: jwt }))
  const [next, tokens] = [secret(), rows(3, 'row')]
  await fill(server.pool, services.url, tokens, jwt)
  const traffic = await follow(readProcedure('forkpoint', 'From JWT_SECRET to a key of its own', { next }), tokens)
  expect(traffic.faults).toEqual([])
  expect(await opened(server.pool, next)).toEqual(traffic.expected)
}, 300_000)

test('F9 From one master key to the next as the README has it, with older ones in a list and the fallback at the same time: through three rolling restarts and the rewrap no read fails', async () => {
  await stop(await start({ JWT_SECRET: jwt }))
  const [older, next, tokens] = [secret(), secret(), rows(3, 'row')]
  for (const [n, key] of [older, master, jwt].entries())
    await fill(server.pool, services.url, new Map([...tokens].filter((_, row) => row % 3 === n)), key)
  const traffic = await follow(readProcedure('forkpoint', 'The next master key', { older, current: master, next }), tokens)
  expect(traffic.faults).toEqual([])
  expect(await opened(server.pool, next)).toEqual(traffic.expected)
}, 300_000)

test('F9 The step that is easily left out is needed: an instance that has not been given the next key cannot read what others save under it', async () => {
  const next = secret()
  const hasty = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: next, ENCRYPTION_MASTER_KEY_PREVIOUS: master })
  const tokens = await saveEach(hasty, 'a')
  const uninformed = await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master })
  expect(await uninformed.ask('POST', '/configs/jira/a/check')).toMatchObject({ status: 503, body: { code: 'ERR_DECRYPT' } })
  await expectUsed(await start({ JWT_SECRET: jwt, ENCRYPTION_MASTER_KEY: master, ENCRYPTION_MASTER_KEY_PREVIOUS: next }), tokens)
})
