import { randomBytes } from 'node:crypto'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from '@keyturn/core'
import { type Evidence, openSecrets, type Run, type SecretConfig, type Secrets, type SecretsOptions, sealedSecrets } from '@keyturn/secrets'
import { afterAll, test as always, beforeAll, expect } from 'vitest'
import { alerts } from '../../../examples/cloudforge/alerts.ts'
import { inventory } from '../../../examples/cloudforge/inventory.ts'
import type { Places } from '../../../examples/cloudforge/places.ts'
import { startMachine } from '../../../examples/cloudforge/src/machine.ts'
import { type LocalProxy, startProxy } from '../../../examples/cloudforge/src/proxy.ts'
import type { Machine as FlyMachine } from '../../doubles/fly-machine.ts'
import { runCommand } from '../../harness/command.ts'
import { canStartPgBouncer, type PgBouncer, startPgBouncer } from '../../harness/pgbouncer.ts'
import { useDatabase } from '../../harness/postgres.ts'
import { canStartRedis } from '../../harness/redis-server.ts'
import { type Providers, startProviders } from './providers.ts'
import { useServer } from './server.ts'
import { type PreparedRedis, preparePostgres, prepareRedis, type Recorder, type Roles, startRecorder, verifierOf } from './servers.ts'

if (!canStartRedis) console.warn('redis-server is not installed: the tests of CloudForge are passed over.')
if (!canStartPgBouncer) console.warn('pgbouncer is not installed: the services of CloudForge log in to Postgres itself.')
export const test = always.skipIf(!canStartRedis)
/** Of what needs a PgBouncer. */
export const testPooled = always.skipIf(!canStartRedis || !canStartPgBouncer)

export type Inventory = { readonly [name: string]: SecretConfig }

/** What a person does about a run; true when something was done. */
type Person = (run: Run, secrets: Secrets) => Promise<boolean>

/** What differs from the inventory, and what stands around the work: see `SecretsOptions`. */
type Opening = { readonly change?: (secrets: Inventory) => Inventory; readonly env?: object } & Pick<SecretsOptions, 'ahead' | 'around'>
type Commanding = Pick<Opening, 'change' | 'env'> & { readonly stdin?: string }
type Steps = ReadonlyMap<string, Evidence>

/** CloudForge with everything around it, for a test file: processes behind the proxy that boot with the secrets of Fly. */
export function useCloudForge() {
  // PgBouncer logs in with what its clients have proved: that takes a server that asks for it by SCRAM.
  const database = canStartPgBouncer && canStartRedis ? useServer() : useDatabase()
  const smoke = randomBytes(24).toString('base64url')
  const closing: (() => Promise<unknown>)[] = []
  let [providers, proxy, redis, roles, recorder]: [Providers, LocalProxy, PreparedRedis, Roles, Recorder] = [] as never
  let bouncer: PgBouncer | undefined
  let folder = ''
  const running: FlyMachine[] = []
  let onBoot = async () => {}
  const logFile = () => join(folder, 'cloudforge.log')

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keyturn-cloudforge-'))
    closing.push(() => rm(folder, { recursive: true, force: true }))
    await writeFile(logFile(), '')
    ;[providers, proxy, redis] = await Promise.all([startProviders(), startProxy(), prepareRedis()])
    roles = await preparePostgres(database.pool, database.url, smoke)
    const { hostname, port } = new URL(database.url)
    if (canStartPgBouncer) {
      const [role] = roles.pair
      bouncer = await startPgBouncer(Number(port), `"${role}" "${await verifierOf(database.pool, role)}"\n`, {
        // What nobody comes for any more is closed, after ten minutes by default: Postgres has the old role in use until then.
        server_idle_timeout: 1,
      })
    }
    closing.push(async () => bouncer?.stop())
    recorder = await startRecorder({ host: hostname, port: Number(port) })
    closing.push(() => providers.close())
    closing.push(() => proxy.close())
    closing.push(() => redis.server.stop())
    closing.push(() => recorder.close())
    await setVariables(firstVariables())
    writeItems()
    for (let n = 0; n < MACHINES; n++) await addMachine()
    // The tables of Keyturn.
    expect(await command(['init'])).toMatchObject({ code: 0 })
  })
  afterAll(async () => {
    await roles?.drop(database.pool)
    for (const close of closing.reverse()) await close()
  })

  /** What the machines boot with before the first rotation, as an operator has set it. */
  const firstVariables = () => ({
    DATABASE_URL: `postgres://${roles.pair[0]}:${roles.password}@${pooled()}`,
    REDIS_URL: `redis://cloudforge:${redis.password}@${redis.address}`,
    JWT_SECRET: providers.jwtSecret,
    ANTHROPIC_API_KEY: providers.anthropicKey,
    OPENAI_API_KEY: providers.openaiKey,
    OKTA_API_TOKEN: providers.oktaToken,
    ENTRA_CLIENT_SECRET: providers.entra.app.secret,
    AWS_ACCESS_KEY_ID: providers.accessKey.id,
    AWS_SECRET_ACCESS_KEY: providers.accessKey.secret,
    THREAT_FEED_KEY: providers.feedKey,
  })
  /** The same in the source of truth, where people have written it. */
  const writeItems = () => {
    const values = firstVariables()
    const items: readonly (readonly [title: string, label: string, value: string])[] = [
      ['jwt-signing-key', 'credential', values.JWT_SECRET],
      ['postgres', 'username', roles.pair[0]],
      ['postgres', 'password', roles.password],
      ['redis', 'username', 'cloudforge'],
      ['redis', 'password', redis.password],
      ['anthropic', 'credential', values.ANTHROPIC_API_KEY],
      ['openai', 'credential', values.OPENAI_API_KEY],
      ['okta', 'credential', values.OKTA_API_TOKEN],
      ['entra', 'credential', values.ENTRA_CLIENT_SECRET],
      ['aws', 'username', values.AWS_ACCESS_KEY_ID],
      ['aws', 'credential', values.AWS_SECRET_ACCESS_KEY],
      ['threat-feed', 'credential', values.THREAT_FEED_KEY],
    ]
    for (const item of items) providers.edit(...item)
  }
  /** Where services log in to Postgres. */
  const pooled = () => (bouncer === undefined ? roles.address : `${bouncer.host}${new URL(database.url).pathname}`)
  /** The part of the environment that is no secret. */
  const settings = () => ({
    ANTHROPIC_BASE_URL: providers.anthropic.origin,
    OPENAI_BASE_URL: `${providers.gateway.url}/v1`,
    OKTA_ORG_URL: providers.okta.origin,
    ENTRA_TENANT_ID: providers.entra.tenant,
    ENTRA_CLIENT_ID: providers.entra.app.appId,
    ENTRA_LOGIN_URL: providers.entra.origin,
    ENTRA_SCOPE: providers.entra.api.scope,
    AWS_ENDPOINT_URL_STS: providers.aws.endpoint,
    THREAT_FEED_URL: providers.feed.url,
  })
  const addMachine = async () => {
    const log = (text: string) => void appendFile(logFile(), text)
    const boot = async (env: { readonly [name: string]: string }) => {
      const started = await startMachine(env, { proxy, log })
      await onBoot()
      return started
    }
    const machine = await providers.fly.createMachine('cloudforge', { env: settings(), boot })
    running.push(machine)
    closing.push(() => machine.stop())
  }
  async function setVariables(values: object): Promise<void> {
    const { status } = await fetch(`${providers.fly.api}/apps/cloudforge/secrets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${providers.flyToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ values }),
    })
    expect(status).toBe(200)
  }

  const places = (): Places => ({
    api: proxy.url,
    postgres: roles.address,
    postgresRoles: roles.pair,
    ...(bouncer !== undefined && { bouncer: { address: pooled(), users: bouncer.file } }),
    warehouse: { address: `postgres://${roles.address}`, lambda: warehouseLambda },
    redis: redis.address,
    connect: providers.onePassword.origin,
    fly: { endpoint: providers.fly.api, pauseMs: 1 },
    anthropic: providers.anthropic.origin,
    openai: { project: providers.openai.project, endpoint: providers.openai.url },
    okta: providers.okta.origin,
    feed: providers.feed.url,
    entra: {
      tenant: providers.entra.tenant,
      clientId: providers.entra.app.appId,
      adminId: providers.entra.admin.appId,
      scope: providers.entra.api.scope,
      login: providers.entra.origin,
      graph: providers.entra.origin,
      api: providers.entra.api.url,
    },
    aws: {
      region: 'eu-central-1',
      user: 'cloudforge-api',
      endpoint: providers.aws.endpoint,
      stsEndpoint: providers.aws.endpoint,
      credentials: { accessKeyId: { env: 'AWS_ACCESS_KEY_ID' }, secretAccessKey: { env: 'AWS_SECRET_ACCESS_KEY' } },
    },
    log: { file: logFile() },
    watchMs: 1_000,
    grace: { tokens: '24h', others: '1s' },
  })
  /** The variables of the operator's process. */
  const operator = () => {
    // What an administrator sends to Postgres is kept.
    const admin = new URL(database.url)
    admin.host = `127.0.0.1:${recorder.port}`
    return {
      KEYTURN_DATABASE_URL: database.url,
      KEYTURN_ROOT_KEY: rootKey,
      OP_CONNECT_TOKEN: providers.onePassword.token,
      FLY_API_TOKEN: providers.flyToken,
      SMOKE_CLIENT: 'smoke',
      SMOKE_SECRET: smoke,
      POSTGRES_ADMIN_URL: admin.href,
      PGBOUNCER_CONSOLE_URL: bouncer?.console,
      REDIS_ADMIN_URL: redis.adminUrl,
      ANTHROPIC_ADMIN_KEY: providers.anthropic.adminKey,
      OPENAI_ADMIN_KEY: providers.openai.adminKey,
      OKTA_ADMIN_TOKEN: providers.okta.adminToken,
      ENTRA_ADMIN_SECRET: providers.entra.admin.secret,
      ...providers.aws.env,
      PAGERDUTY_ROUTING_KEY: providers.pagerDuty.routingKey,
      SLACK_WEBHOOK_URL: providers.slack.url,
    }
  }
  const configOf = (change: (secrets: Inventory) => Inventory = (secrets) => secrets) => ({
    database: { env: 'KEYTURN_DATABASE_URL' },
    keyrings: { secrets: { root: { env: 'KEYTURN_ROOT_KEY' } } },
    fields: sealedSecrets('secrets'),
    secrets: change(inventory(places())),
    alerts: alerts(providers.pagerDuty.endpoint),
  })
  /** What a process of the operator's opens. */
  const start = async ({ change, env, ...more }: Opening = {}): Promise<Secrets> => {
    const keyturn = await open(configOf(change), { pool: database.pool, env: operator(), warn: () => {} })
    closing.push(() => keyturn.close())
    return await openSecrets(keyturn, { pool: database.pool, env: { ...operator(), ...env }, actor: 'operator', ...more })
  }
  /** Runs `keyturn` with the configuration, as an operator does. */
  const command = async (argv: readonly string[], { stdin, env, change }: Commanding = {}) => {
    await writeFile(join(folder, 'keyturn.config.json'), JSON.stringify(configOf(change)))
    return await runCommand(argv, { cwd: folder, env: { ...operator(), ...env }, ...(stdin !== undefined && { stdin }) })
  }
  /** Works on a run until it is over or somebody must act, and nobody does. */
  const finish = async (secrets: Secrets, runId: string, person: Person = async () => false): Promise<Run> => {
    for (;;) {
      const run = await secrets.settle(runId, { waitMs: 30_000 })
      if (run.state === 'completed' || run.state === 'rolled-back' || run.state === 'cancelled' || !(await person(run, secrets))) return run
    }
  }
  return {
    database,
    start,
    finish,
    command,
    configOf,
    places,
    operator,
    setVariables,
    firstVariables,
    settings,
    /** Awaited whenever a machine serves with what it has booted with: the next one is replaced after that. */
    onBoot: (wait: () => Promise<void>) => {
      onBoot = wait
    },
    /** Rotates a secret; each step has to be done. @returns the evidence by step */
    rotate: async (secrets: Secrets, name: string, person?: Person): Promise<Steps> => {
      const { id } = await secrets.rotate(name)
      return await stepsOf(secrets, await finish(secrets, id, person))
    },
    /** What each machine has booted with. */
    machineVariables: (name: string) => running.map(({ env }) => env[name]),
    /** How often a machine was updated. */
    updates: () => providers.fly.calls.filter(({ operation }) => operation === 'machines.update').length,
    /** What the machines would boot with now. */
    variables: () => providers.fly.secretsOf('cloudforge'),
    get providers() {
      return providers
    },
    get url() {
      return proxy.url
    },
    get roles() {
      return roles
    },
    /** The `auth_file` of the PgBouncer. @throws where none is installed */
    get bouncerUsers() {
      if (bouncer === undefined) throw new Error('pgbouncer is not installed')
      return bouncer.file
    },
    get redis() {
      return redis
    },
    get recorder() {
      return recorder
    },
    get smoke() {
      return { authorization: `Basic ${Buffer.from(`smoke:${smoke}`).toString('base64')}` }
    },
    get logFile() {
      return logFile()
    },
    get folder() {
      return folder
    },
  }
}

/** What was seen in each step of a run that has to be completed. */
async function stepsOf(secrets: Secrets, { id, state, note }: Run): Promise<Steps> {
  const { steps } = await secrets.run(id)
  const undone = steps.filter((step) => !['done', 'skipped'].includes(step.state)).map(({ step, problem }) => ({ step, problem }))
  expect({ state, note, undone }).toEqual({ state: 'completed', note: null, undone: [] })
  return new Map(steps.map(({ step, evidence }) => [step, evidence]))
}

export const warehouseLambda = 'arn:aws:lambda:eu-central-1:111122223333:function:rotate-warehouse'
const MACHINES = 2
const rootKey = 'c7'.repeat(32)
