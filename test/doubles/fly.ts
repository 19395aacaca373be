import { createHmac, randomBytes } from 'node:crypto'
import { type Answer, type Asked, credentialOf, type Double, jsonOf, type Operation, startDouble } from './faults.ts'
import { type Env, Machine, type MachineConfig, type MachineOptions } from './fly-machine.ts'

/** The Machines API of Fly on this machine: secrets of apps, and machines that boot with them. */
export interface FlyDouble extends Double {
  /** The base of the API, with its version. */
  readonly api: string
  /**
   * Whether calls are refused when they come too fast: three of one action on one app or machine go through, then one is refused. Nothing is
   * measured: a refusal counts as the pause that makes room for one more.
   */
  limited: boolean
  /** A new app with a token that opens this app only. */
  createApp(name: string): { readonly token: string }
  /** One more token of the app. */
  createToken(app: string): string
  revokeToken(token: string): void
  /** A machine that boots with the app's secrets; resolves when it runs. */
  createMachine(app: string, options?: MachineOptions): Promise<Machine>
  /** The vault of an app, values included, which no token may read. */
  secretsOf(app: string): Env
}

/** The secrets of an app at one version, and when each was set. */
type Secrets = ReadonlyMap<string, { readonly value: string; readonly createdAt: string; readonly updatedAt: string }>

type App = {
  readonly name: string
  readonly machines: Map<string, Machine>
  /** Every version that ever was: a host can be behind. */
  readonly versions: Secrets[]
  readonly digestKey: Buffer
}

type Update = {
  readonly config: MachineConfig
  readonly min_secrets_version: number
  readonly skip_launch: boolean
  readonly lease_ttl: number
}

const BURST = 3
const errorBody = (status: number) => ({ error: names[status] ?? 'internal: something went wrong' })
const names: Record<number, string> = {
  401: 'unauthenticated: invalid token',
  404: 'not_found: resource not found',
  429: 'resource_exhausted: rate limit exceeded',
}

/**
 * Starts a double of the Machines API; the caller stops it.
 *
 * Kept of the real one: a batch of secrets is one version, null deletes, a name that is not there can be deleted and makes a version all the
 * same; values cannot be read back, digests can; setting touches no machine; an update replaces the whole config and fixes what is booted,
 * a restart does not; a host may boot older secrets unless `min_secrets_version` is named. From the sources of fly-go and flyctl.
 */
export async function startFly(): Promise<FlyDouble> {
  const apps = new Map<string, App>()
  const tokens = new Map<string, string>()
  const counted = new Map<string, number>()

  /** One more call of an action: whether it is too fast. */
  const isTooFast = (key: string): boolean => {
    const before = counted.get(key) ?? 0
    const isRefused = double.limited && before >= BURST
    counted.set(key, isRefused ? before - 1 : before + 1)
    return isRefused
  }
  const operation = (
    name: string,
    method: string,
    path: string,
    answer: (app: App, asked: Asked, id: string) => Answer | Promise<Answer>,
  ) => ({
    name,
    method,
    path: new RegExp(`^/v1/apps/([\\w-]+)${path}$`),
    answer: async (asked: Asked, [appName = '', id = '']: readonly string[]): Promise<Answer> => {
      // A token may carry its kind in front of it, as the command prints it.
      const owner = tokens.get(credentialOf(asked).replace(/^FlyV1 /, '')) ?? tokens.get(credentialOf(asked, 'FlyV1'))
      if (owner === undefined || (apps.has(appName) && owner !== appName)) return refused(401)
      if (isTooFast(`${name}/${appName}/${id}`)) return refused(429)
      const app = apps.get(appName)
      return app === undefined ? refused(404) : answer(app, asked, id)
    },
  })
  const onMachine =
    (answer: (machine: Machine, asked: Asked, app: App) => Answer | Promise<Answer>) => (app: App, asked: Asked, id: string) => {
      const machine = app.machines.get(id)
      return machine === undefined ? refused(404) : answer(machine, asked, app)
    }
  const changing = (answer: (machine: Machine, asked: Asked, app: App) => Answer | Promise<Answer>) =>
    onMachine((machine, asked, app) => machine.refusal(asked) ?? answer(machine, asked, app))

  const operations: Operation[] = [
    operation('secrets.list', 'GET', '/secrets', (app, { url }) => {
      const version = Number(url.searchParams.get('version') ?? 0)
      return version > app.versions.length - 1 ? refused(408) : { status: 200, body: { secrets: listed(app) } }
    }),
    operation('secrets.update', 'POST', '/secrets', (app, asked) => {
      const { values } = jsonOf<{ values: Record<string, string | null> }>(asked)
      return values === undefined ? refused(422) : set(app, values)
    }),
    operation('secrets.set', 'POST', '/secrets/([^/]+)', (app, asked, name) => {
      const { value } = jsonOf<{ value: string }>(asked)
      return typeof value === 'string' ? set(app, { [name]: value }) : refused(422)
    }),
    operation('secrets.get', 'GET', '/secrets/([^/]+)', (app, _, name) => {
      const one = listed(app).find((secret) => secret.name === name)
      return one === undefined ? refused(404) : { status: 200, body: one }
    }),
    operation('secrets.unset', 'DELETE', '/secrets/([^/]+)', (app, _, name) => set(app, { [name]: null })),
    operation('machines.list', 'GET', '/machines', (app) => ({ status: 200, body: [...app.machines.values()].map(({ view }) => view) })),
    operation(
      'machines.get',
      'GET',
      '/machines/(\\w+)',
      onMachine((machine) => ({ status: 200, body: machine.view })),
    ),
    operation('machines.update', 'POST', '/machines/(\\w+)', changing(update)),
    operation('machines.restart', 'POST', '/machines/(\\w+)/restart', changing(launch)),
    operation('machines.start', 'POST', '/machines/(\\w+)/start', changing(launch)),
    operation(
      'machines.stop',
      'POST',
      '/machines/(\\w+)/stop',
      changing(async (machine) => {
        await machine.stop()
        return { status: 200, body: { ok: true } }
      }),
    ),
    operation(
      'machines.wait',
      'GET',
      '/machines/(\\w+)/wait',
      onMachine((machine, { url }) => {
        const states = url.searchParams.getAll('state')
        const version = url.searchParams.get('version') ?? url.searchParams.get('instance_id')
        const seconds = Math.min(60, Number(url.searchParams.get('timeout') ?? 60))
        return machine.wait(states.length === 0 ? ['started'] : states, version, seconds)
      }),
    ),
    operation(
      'lease.get',
      'GET',
      '/machines/(\\w+)/lease',
      onMachine((machine) => (machine.lease === null ? refused(404) : leased(machine, 200))),
    ),
    operation(
      'lease.take',
      'POST',
      '/machines/(\\w+)/lease',
      changing((machine, asked) => {
        machine.take(Number(jsonOf<{ ttl: number }>(asked).ttl ?? asked.url.searchParams.get('ttl') ?? 120))
        return leased(machine, 201)
      }),
    ),
    operation(
      'lease.release',
      'DELETE',
      '/machines/(\\w+)/lease',
      changing((machine) => {
        machine.lease = null
        return { status: 200, body: { ok: true } }
      }),
    ),
  ]
  const found = (name: string): App => {
    const app = apps.get(name)
    if (app === undefined) throw new Error(`the test made no app "${name}"`)
    return app
  }
  const createToken = (app: string) => {
    const token = `fm2_${randomBytes(24).toString('base64url')}`
    tokens.set(token, app)
    return token
  }
  const server = await startDouble(operations, { errorBody })
  const double: FlyDouble = Object.assign(server, {
    api: `${server.origin}/v1`,
    limited: false,
    createApp: (name: string) => {
      apps.set(name, { name, machines: new Map(), versions: [new Map()], digestKey: randomBytes(32) })
      return { token: createToken(name) }
    },
    createToken,
    revokeToken: (token: string) => void tokens.delete(token),
    createMachine: async (name: string, options: MachineOptions = {}) => {
      const app = found(name)
      const machine = new Machine(options)
      app.machines.set(machine.id, machine)
      machine.secretsVersion = app.versions.length - 1
      machine.update(machine.config, valuesOf(app.versions.at(-1)), options.stopped !== true)
      await machine.booted
      return machine
    },
    secretsOf: (name: string) => valuesOf(found(name).versions.at(-1)),
  })
  return double
}

const refused = (status: number): Answer => ({ status, body: errorBody(status) })
const leased = ({ leaseView }: Machine, status: number): Answer => ({ status, body: { status: 'success', data: leaseView } })
const valuesOf = (secrets: Secrets = new Map()): Env => Object.fromEntries([...secrets].map(([name, { value }]) => [name, value]))

/** Keyed per app: equal digests mean equal values of one app, and nobody outside can compute one. */
function listed({ versions, digestKey }: App): { readonly name: string; readonly digest: string }[] {
  return [...(versions.at(-1) ?? [])].map(([name, { value, createdAt, updatedAt }]) => {
    const digest = createHmac('sha256', digestKey).update(value).digest('hex').slice(0, 16)
    return { name, digest, created_at: createdAt, updated_at: updatedAt }
  })
}

/** One new version with all of these, or none of them. */
function set(app: App, values: Readonly<Record<string, string | null>>): Answer {
  const entries = Object.entries(values)
  const isWrong = ([name, value]: [string, unknown]) => !/^[A-Za-z_]\w*$/.test(name) || !(value === null || typeof value === 'string')
  if (entries.some(isWrong)) return refused(422)
  const next = new Map(app.versions.at(-1))
  const now = new Date().toISOString()
  for (const [name, value] of entries) {
    if (value === null) next.delete(name)
    else next.set(name, { value, createdAt: next.get(name)?.createdAt ?? now, updatedAt: now })
  }
  app.versions.push(next)
  const version = app.versions.length - 1
  return { status: 200, body: { secrets: listed(app).filter(({ name }) => Object.hasOwn(values, name)), version }, made: [`v${version}`] }
}

function update(machine: Machine, asked: Asked, app: App): Answer {
  const { config, min_secrets_version: least = 0, skip_launch: skip = false, lease_ttl: ttl } = jsonOf<Update>(asked)
  if (config === undefined) return { status: 400, body: { error: 'invalid_argument: config is required' } }
  const newest = app.versions.length - 1
  if (least > newest) return { status: 408, body: { error: 'deadline_exceeded: secrets version is not available' } }
  // What the caller knows to be there is waited for; else a stale host boots what it has, and hears of the newer ones too late.
  const version = machine.isHostStale && least <= machine.secretsVersion ? machine.secretsVersion : newest
  machine.secretsVersion = newest
  if (ttl !== undefined) machine.take(ttl)
  machine.update(config, valuesOf(app.versions[version]), !skip)
  return { status: 200, body: machine.view, made: [machine.instanceId] }
}

function launch(machine: Machine): Answer {
  machine.launch()
  return { status: 200, body: { ok: true } }
}
