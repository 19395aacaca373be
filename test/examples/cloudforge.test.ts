import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { expect } from 'vitest'
import { root } from '../harness/child.ts'
import { knock } from '../harness/parts.ts'
import { canStartPgBouncer } from '../harness/pgbouncer.ts'
import { ask, send } from './asking.ts'
import { writtenRunbook } from './cloudforge/runbook.ts'
import { verifierOf } from './cloudforge/servers.ts'
import { prepareWarehouse } from './cloudforge/warehouse.ts'
import { test, testPooled, useCloudForge, warehouseLambda } from './cloudforge/world.ts'

const forge = useCloudForge()

// All share the processor.
const PAUSE_MS = 25
const well = { postgres: 'ok', redis: 'ok', ai_provider: 'ok', identity_provider: 'ok', aws: 'ok', threat_intelligence: 'ok' }

test('C1 The inventory says of every secret where it stands, how often it changes, and whether by itself; what is overdue stands first', async () => {
  const days = { quarterly: '90d', half: '180d', yearly: '365d' }
  await forge.start()
  const { code, stdout } = await forge.command(['secrets', 'list', '--json'])
  expect(code).toBe(0)
  const found: readonly Listed[] = JSON.parse(stdout).secrets
  const rows = found.map(({ name, every, automatic, stores }) => [name, every, automatic, stores.join(' ')])
  expect(rows.toSorted(([one], [other]) => String(one).localeCompare(String(other)))).toEqual([
    ['anthropic', days.half, false, 'one-password fly'],
    ['aws', days.quarterly, true, 'one-password fly'],
    ['azure', days.yearly, true, 'azure-key-vault'],
    ['entra', days.yearly, true, 'one-password fly'],
    ['gcp', days.quarterly, true, 'gcp-secret-manager'],
    ['jwt-signing-key', days.quarterly, true, 'one-password fly'],
    ['okta', days.quarterly, false, 'one-password fly'],
    ['openai', days.half, true, 'one-password fly'],
    ['postgres', days.quarterly, true, canStartPgBouncer ? 'one-password pgbouncer fly' : 'one-password fly'],
    ['redis', days.quarterly, true, 'one-password fly'],
    ['session-cache', days.quarterly, true, 'aws-secrets-manager'],
    ['threat-feed', days.yearly, false, 'one-password fly'],
    ['warehouse', days.quarterly, true, ''],
  ])
  for (const { owner, runbook, overdue, since } of found) {
    expect([owner, runbook]).not.toContain(null)
    // Nobody knows how old they are: they are due now.
    expect({ overdue, since }).toEqual({ overdue: true, since: null })
  }
  const secrets = await forge.start()
  await forge.rotate(secrets, 'redis')
  const after = await secrets.list()
  expect(after.at(-1)).toMatchObject({ name: 'redis', overdue: false })
  const later = await forge.start({ ahead: () => 91 * 86_400_000 })
  expect(await later.status('redis')).toMatchObject({ overdue: true, dueAt: after.at(-1)!.dueAt })
  const screen = (await forge.command(['secrets', 'list'])).stdout
  expect(screen.indexOf('redis')).toBeGreaterThan(screen.indexOf('postgres'))
  expect(screen).toMatch(/overdue/i)
})

test('C1 RUNBOOK.md is what the command prints for the configuration', async () => {
  await expect(await writtenRunbook(forge.database.pool)).toMatchFileSnapshot(join(root, 'examples/cloudforge/RUNBOOK.md'))
})

test('C2 The secret of HS256 tokens changes under rolling restarts, three of them, and no token is refused', async () => {
  const secrets = await forge.start()
  const before = forge.variables().JWT_SECRET
  let kept: string[] = []
  // Each token is made by one process and, as the proxy goes on, tried at the other one, too; so are older ones, again and again.
  const client = knock(async () => {
    await sleep(PAUSE_MS)
    kept.push((await ask(forge.url, 'POST', '/v1/session', { headers: forge.smoke })).body.token)
    for (const token of new Set([kept.at(-1)!, kept[Math.floor(kept.length / 2)]!, kept[0]!])) {
      const { status } = await send(forge.url, 'GET', '/v1/projects', { token })
      if (status !== 200) throw new Error(`a token was answered with ${status}`)
    }
  })
  await client.enough(1)
  const old = kept[0]!
  // Whenever one process has another version than the other, both are met.
  forge.onBoot(() => client.enough(2))
  const restarts: object[] = []
  const steps = await forge
    .rotate(secrets, 'jwt-signing-key', async (run, { revoke }) => {
      if (run.steps[run.position] !== 'grace') return false
      restarts.push(forge.variables())
      // A day is over, and with it all tokens of the day before.
      kept = kept.filter((token) => kidOf(token) !== kidOf(old))
      await client.enough(2)
      await revoke.call(secrets, run.id)
      return true
    })
    .finally(() => forge.onBoot(async () => {}))
  const { tries, refused } = await client.stop()
  expect({ refused, kids: new Set(kept.map(kidOf)).size }).toEqual({ refused: 0, kids: 1 })
  expect(tries).toBeGreaterThan(12)
  for (const phase of ['announce', 'promote', 'withdraw']) expect(steps.get(`deploy:${phase}`)).toMatchObject({ 'fly 1: replaced': 2 })

  const { JWT_SECRET, ...variables } = forge.variables()
  expect(restarts).toEqual([{ ...variables, JWT_SECRET, JWT_PREVIOUS_SIGNING_KEY: before }])
  expect(JWT_SECRET).toBe(forge.providers.held('jwt-signing-key', 'credential'))
  expect(JWT_SECRET).not.toBe(before)
  expect((await send(forge.url, 'GET', '/v1/projects', { token: old })).status).toBe(401)
})

test('C3 The password of the database changes by two roles that take turns, and no log-in is refused', async () => {
  const secrets = await forge.start()
  const dsn = () => forge.variables().DATABASE_URL!
  const before = dsn()
  const client = knock(() => sleep(PAUSE_MS).then(() => logInToPostgres(dsn())))
  forge.onBoot(() => client.enough(2))
  const steps = await forge.rotate(secrets, 'postgres').finally(() => forge.onBoot(async () => {}))
  await client.enough(2)
  expect(await client.stop()).toMatchObject({ refused: 0 })
  expect(new URL(dsn()).username).toBe(forge.roles.pair[1])
  await logInToPostgres(dsn())
  await expect(logInToPostgres(before)).rejects.toMatchObject({ code: expect.stringMatching(refusal) })

  const seen = Object.values(steps.get('gates:promote')!)
  expect(seen).toContainEqual(expect.stringContaining('has "ok" at .components.postgres'))
  expect(seen).toContainEqual('Postgres let the new credential in')
  expect((await ask(forge.url, 'GET', '/health')).body).toEqual({ status: 'ok', components: well })
  const { password } = new URL(dsn())
  expect([forge.providers.held('postgres', 'username'), forge.providers.held('postgres', 'password')]).toEqual([
    forge.roles.pair[1],
    password,
  ])
})

testPooled('C3 Services log in through a PgBouncer, which knows both roles until no machine comes as the old one', async () => {
  const secrets = await forge.start()
  const dsn = () => forge.variables().DATABASE_URL!
  const direct = () => Object.assign(new URL(dsn()), { host: forge.roles.address.split('/')[0] }).href
  const users = async () => (await readFile(forge.bouncerUsers, 'utf8')).split('\n').filter((line) => line.includes('; keyturn'))
  const before = { dsn: dsn(), direct: direct(), user: new URL(dsn()).username }
  expect(new URL(dsn()).port).not.toBe(new URL(forge.database.url).port)
  const client = knock(() => sleep(PAUSE_MS).then(() => logInToPostgres(dsn())))
  const seen: string[][] = []
  forge.onBoot(async () => {
    seen.push(await users())
    await client.enough(2)
  })
  await forge.rotate(secrets, 'postgres').finally(() => forge.onBoot(async () => {}))
  await client.enough(2)
  expect(await client.stop()).toMatchObject({ refused: 0 })

  const { username, password } = new URL(dsn())
  const verifier = await verifierOf(forge.database.pool, username)
  const [current, previous] = seen[0]!
  expect(current).toBe(`"${username}" "${verifier}" ; keyturn current`)
  expect(previous).toMatch(new RegExp(`^"${before.user}" "SCRAM-SHA-256[^"]+" ; keyturn previous$`))
  expect(await users()).toEqual([current])
  expect(await readFile(forge.bouncerUsers, 'utf8')).not.toContain(password)
  // The old one is refused at both doors.
  for (const url of [before.dsn, before.direct])
    await expect(logInToPostgres(url)).rejects.toMatchObject({ code: expect.stringMatching(refusal) })
})

test('C3 AWS rotates a database by a function: turned on, started, watched, and what came of it logs in; no log-in is refused', async () => {
  const { aws } = forge.providers
  const warehouse = await prepareWarehouse(aws, warehouseLambda, forge.database.pool, forge.roles.address)
  try {
    const [before, secrets] = [await warehouse.current(), await forge.start()]
    expect(await warehouse.described()).not.toMatchObject({ RotationEnabled: true })
    const { findings } = await secrets.plan('warehouse')
    expect(findings.map(({ severity, sentence }) => `${severity}: ${sentence}`)).toContainEqual(
      expect.stringMatching(/^warning: .*a run turns that on/),
    )
    expect(findings.map(({ severity }) => severity)).not.toContain('fault')
    const client = knock(() => sleep(PAUSE_MS).then(() => warehouse.logIn()))
    const steps = await forge.rotate(secrets, 'warehouse')
    await client.enough(2)
    expect(await client.stop()).toMatchObject({ refused: 0 })
    const after = await warehouse.current()
    expect([before.username, after.username]).toEqual(warehouse.users)
    expect(await warehouse.described()).toEqual({ RotationEnabled: true, days: 90 })
    expect(Object.values(steps.get('verify')!)).toEqual([`user "${after.username}" logged in with its password`])
    expect(Object.values(steps.get('gates:promote')!)).toEqual(['Postgres let the new credential in'])
    // A function that fails leaves everything as it was, and somebody hears of it.
    aws.secrets.rotations.lambdas.set(warehouseLambda, async () => {
      throw new Error('the function does not work')
    })
    let passedMs = 0
    // It is watched for minutes, and tried for half an hour: at each look at the clock, some have passed.
    const later = await forge.start({
      ahead: () => {
        passedMs += 100_000
        return passedMs
      },
    })
    const run = await forge.finish(later, (await later.rotate('warehouse')).id)
    expect(run).toMatchObject({ state: 'rolled-back', note: expect.stringContaining('Look into the logs of its function') })
    expect(await warehouse.current()).toEqual(after)
    await warehouse.logIn()
  } finally {
    await warehouse.drop()
  }
})

test('C4 The password of Redis changes with two passwords at once, and no log-in is refused', async () => {
  const secrets = await forge.start()
  const url = () => forge.variables().REDIS_URL!
  const before = url()
  const client = knock(() => sleep(PAUSE_MS).then(() => logInToRedis(url())))
  forge.onBoot(() => client.enough(2))
  const steps = await forge.rotate(secrets, 'redis').finally(() => forge.onBoot(async () => {}))
  await client.enough(2)
  expect(await client.stop()).toMatchObject({ refused: 0 })
  expect(url()).not.toBe(before)
  await expect(logInToRedis(before)).rejects.toThrow()
  expect(Object.values(steps.get('gates:promote')!)).toContainEqual(expect.stringContaining('has "ok" at .components.redis'))
  expect(forge.providers.held('redis', 'password')).toBe(new URL(url()).password)
})

test('C8 After each rotation the log is watched, health is looked at and a request is made; one refused log-in takes it back', async () => {
  const secrets = await forge.start()
  const steps = await forge.rotate(secrets, 'aws')
  const seen = Object.keys(steps.get('gates:promote')!).map((name) => name.split(' ')[0])
  expect(seen).toEqual(['log-errors', 'health', 'smoke'])

  const before = forge.variables()
  const { gateway } = forge.providers
  let lines = 0
  // Right after the deployment a log-in of the application is refused, and it says so in its log.
  const watched = await forge.start({
    around: async ({ step }, work) => {
      if (step !== 'gates:promote' || lines++ > 0) return await work()
      gateway.refuses = () => true
      expect((await ask(forge.url, 'GET', '/health')).body).toEqual({ status: 'degraded', components: { ...well, ai_provider: 'refused' } })
      gateway.refuses = null
      await expect.poll(() => readFile(forge.logFile, 'utf8'), { timeout: 60_000 }).toContain('"component":"openai"')
      return await work()
    },
  })
  const run = await forge.finish(watched, (await watched.rotate('aws')).id)
  expect(run).toMatchObject({ state: 'rolled-back', note: expect.stringContaining('log-errors') })
  expect(forge.variables()).toEqual(before)
  expect((await ask(forge.url, 'GET', '/health')).body).toEqual({ status: 'ok', components: well })
})

test('C11 No fault of the seed runbook is repeated', async () => {
  const { recorder, start, finish, variables } = forge
  const passwordIn = (name: string) => new URL(variables()[name]!).password
  // Consumers come first: both log in when the stores change, and every machine has the new one when the old one ends.
  const old = variables().DATABASE_URL!
  // A PgBouncer forgets the old role before Postgres does.
  const ends = canStartPgBouncer ? 'write:withdraw' : 'disable'
  const seen = new Set<string>()
  const secrets = await start({
    around: async ({ step }, work) => {
      // At its first call: with the next one it may have ended.
      const first = seen.size < seen.add(step).size
      if (first && (step === 'deploy:promote' || step === ends))
        for (const dsn of [old, variables().DATABASE_URL!]) await logInToPostgres(dsn)
      if (first && step === ends)
        expect(forge.machineVariables('DATABASE_URL')).toEqual([variables().DATABASE_URL, variables().DATABASE_URL])
      return await work()
    },
  })
  const steps = await forge.rotate(secrets, 'postgres')
  expect([...steps.keys()].filter((step) => /^(verify|write|deploy|revoke)/.test(step))).toEqual([
    'verify',
    'write:promote',
    'deploy:promote',
    ...(canStartPgBouncer ? ['write:withdraw', 'deploy:withdraw'] : []),
    'revoke',
  ])
  expect(variables().DATABASE_URL).not.toBe(old)

  // No generated secret has a line break, or anything else that an environment or an address would not keep.
  const generated = [variables().JWT_SECRET!, passwordIn('DATABASE_URL'), passwordIn('REDIS_URL')]
  for (const value of generated) expect(value).toMatch(/^[\w-]{32,}$/)

  // Neither a statement nor a command line has had a password: Postgres was given a verifier.
  expect(recorder.sent).toMatch(/ALTER ROLE[^;]*PASSWORD 'SCRAM-SHA-256\$/)
  const commandLines = await readCommandLines()
  for (const value of generated) expect([recorder.sent.includes(value), commandLines.includes(value)]).toEqual([false, false])

  // The verification uses the new password: where it is not the one at the server, nothing is deployed.
  const [before, deployed] = [variables(), forge.updates()]
  const [idle] = forge.roles.pair.filter((role) => role !== new URL(before.DATABASE_URL!).username)
  let passedMs = 0
  const sabotaged = await start({
    ahead: () => passedMs,
    around: async ({ step }, work) => {
      if (step !== 'verify') return await work()
      await forge.database.pool.query(`ALTER ROLE ${idle} PASSWORD 'another one'`)
      // A server may need some time until it knows a password; it has had it.
      passedMs += 600_000
      return await work()
    },
  })
  const run = await finish(sabotaged, (await sabotaged.rotate('postgres')).id)
  expect(run).toMatchObject({ state: 'rolled-back' })
  expect([variables(), forge.updates()]).toEqual([before, deployed])

  // A secret of HS256 in two deployments is refused before anything is called.
  const twoOnly = await start({
    change: ({ 'jwt-signing-key': jwt, ...others }) => {
      const stores = jwt!.stores!.map((store) => ({ ...store, values: without(store.values, 'JWT_NEXT') }))
      return { ...others, 'jwt-signing-key': { ...jwt!, stores } }
    },
  })
  await expect(twoOnly.rotate('jwt-signing-key')).rejects.toMatchObject({
    code: 'ERR_SECRET_PLAN',
    message: expect.stringContaining('three deployments'),
  })
  expect((await secrets.plan('jwt-signing-key')).steps.filter(({ step }) => step.startsWith('deploy:'))).toHaveLength(3)
})

/** Of Postgres, or of a PgBouncer, which has one code for everything that goes wrong before a session begins. */
const refusal = /^28|^08P01$/

const without = (values: { readonly [name: string]: string }, name: string) =>
  Object.fromEntries(Object.entries(values).filter(([each]) => each !== name))

/** The command lines of all processes, where the system shows them. */
async function readCommandLines(): Promise<string> {
  const ids = await readdir('/proc').catch(() => [])
  const lines = ids.filter((id) => /^\d+$/.test(id)).map((id) => readFile(`/proc/${id}/cmdline`, 'latin1').catch(() => ''))
  return (await Promise.all(lines)).join('\n')
}

async function logInToPostgres(connectionString: string): Promise<void> {
  const client = new Client({ connectionString })
  client.on('error', () => {})
  await client.connect()
  await client.end()
}

async function logInToRedis(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.get('cloudforge:nothing')
  } finally {
    client.disconnect()
  }
}

type Listed = { readonly [_ in 'name' | 'every' | 'owner' | 'runbook' | 'since']: string | null } & {
  readonly automatic: boolean
  readonly overdue: boolean
  readonly stores: readonly string[]
}
const kidOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid
