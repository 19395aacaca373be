import { fail, type Keyturn, migrate, type Throttle } from '@keyturn/core'
import keyturnFastify from '@keyturn/core/adapters/fastify'
import { pgliteState } from '@keyturn/core/databases/pglite'
import { pgState } from '@keyturn/core/databases/postgres'
import { openSecrets } from '@keyturn/secrets'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import { type Caller, mayAct } from './access.ts'
import { type Authorize, applicationAccess } from './application-access.ts'
import { openAccess } from './authentication/access.ts'
import { Censuses } from './censuses.ts'
import { setHeaders } from './headers.ts'
import { healthOf } from './health.ts'
import { Attendance } from './jobs/attendance.ts'
import { type Client, Jobs } from './jobs/jobs.ts'
import type { PoolCounts } from './metrics.ts'
import { mountRoutes } from './mount.ts'
import { Operations } from './operations.ts'
import { aboutRoutes } from './pages/about.ts'
import { findConsole, readConsole } from './pages/console.ts'
import { mountConsole } from './pages/mount.ts'
import { Runner } from './rotation/runner.ts'
import { Watch } from './rotation/watch.ts'
import { routes } from './routes/all.ts'
import { viewRotation } from './routes/rotations.ts'
import { SecretRuns } from './secret/secret-runs.ts'
import { viewRun } from './secret/view.ts'
import type { Server } from './server.ts'
import { serverMigrations } from './state/migrations.ts'
import { keepReport } from './state/reports.ts'
import { together } from './together.ts'
import { version } from './version.ts'

/** What a server is mounted with. The database is that of the configuration: give `pool` or `pglite`, as `open` was given it. */
export type ServerOptions = Client & ServerSettings

/** What a server is told beside its database. */
export interface ServerSettings {
  readonly keyturn: Keyturn
  /** Who makes a request, by the application's own sessions. Without it the server has users, tokens and passwords of its own. */
  readonly authorize?: Authorize
  /** Where it is mounted, as Fastify takes it: `/admin`. */
  readonly prefix?: string
  /** Whether browsers reach it by TLS, its own or that of a proxy. */
  readonly secure?: boolean
  /** Told the path of the one-time link that makes the first user; the log unless given. */
  readonly onSetup?: (path: string) => void
  /** How hard rotations, counts and verifications work the database. */
  readonly throttle?: Throttle
  /** After which time a rotation whose process may have died is looked at, in milliseconds; 15,000 unless given. */
  readonly wakeMs?: number
  /** Whether keyrings whose values were never counted are counted at the start. After each rotation they are counted in any case. */
  readonly countAtStart?: boolean
  /** Where the parts of secrets read their variables; `process.env` unless given. */
  readonly env?: { readonly [name: string]: string | undefined }
  /** The schema of the wake-ups; `keyturn_jobs` unless given. */
  readonly jobsSchema?: string
  /** The folder of the built console; found by itself unless given, null: none. */
  readonly console?: string | null
  /** The keyrings of the compatible routes; the only one that encrypts unless given, and no such routes where there are several. */
  readonly compatible?: { readonly keyring: string; readonly connectors?: string }
}

const usualWakeMs = 15_000
/** Who counts without being asked. */
const serverActor = 'server'

/**
 * The admin API and the console, as a plugin for Fastify.
 *
 * A rotation that is asked for runs in this process. When the server closes, the batch is finished, and the next server on the same
 * database goes on; so it does when this one is killed, once its lease is over.
 *
 * @throws `ERR_STATE_MISSING`, `ERR_PRIVILEGE` where its tables cannot be made, and what the database refuses: registering fails
 */
export const keyturnServer: FastifyPluginAsync<ServerOptions> = async (app, options) => {
  const { keyturn } = options
  const prefix = app.prefix
  const state = 'pool' in options ? pgState(options.pool, keyturn.config.schema) : pgliteState(options.pglite, keyturn.config.schema)
  await migrate(state, serverMigrations)
  const log = app.log
  const secure = options.secure ?? false
  const onSetup = options.onSetup === undefined ? {} : { onSetup: options.onSetup }
  const access =
    options.authorize === undefined ? await openAccess({ state, log, prefix, secure, ...onSetup }) : applicationAccess(options.authorize)
  const { server, close } = await build(app, options, { state, access })
  const pool = 'pool' in options ? poolCounts(options.pool) : null
  const api = [...routes, ...access.routes]
  const about = aboutRoutes(server, { api, pool, version })
  const folder = options.console === undefined ? findConsole() : options.console
  const files = folder === null ? null : await readConsole(folder, prefix)
  app.addHook('preClose', close)
  app.addHook('onClose', async () => {
    about.metrics.close()
    await access.close()
  })
  await setHeaders(app, secure)
  mountRoutes(app, server, [...api, ...about.routes])
  await mountCompatible(app, server, options)
  mountConsole(app, files, prefix)
}

type Grounds = Pick<Server, 'state' | 'access'>

/** What works behind the routes, and what ends it. */
async function build(app: FastifyInstance, options: ServerOptions, { state, access }: Grounds) {
  const { keyturn, throttle, wakeMs = usualWakeMs, jobsSchema = 'keyturn_jobs' } = options
  const { log } = app
  const closing = new AbortController()
  const operations = new Operations(state, log)
  const censuses = new Censuses({ keyturn, state, operations, throttle })
  let jobs: Jobs | null = null
  const runner = new Runner({
    keyturn,
    log,
    throttle,
    onReport: (report) => keepReport(state, report),
    onBegin: async (rotationId) => void (await jobs?.wake(rotationId, wakeMs)),
    onCompleted: async (rotationId) => await censuses.take((await keyturn.rotations.get(rotationId)).keyring, serverActor),
  })
  const wake = async (rotationId: string, afterMs: number) => void (await jobs?.wake(rotationId, afterMs))
  const secrets = await openRuns(app, options)
  const attendance = new Attendance({ keyturn, state, runner, secrets, log, wakeMs, wake })
  const wakes = { rotation: (id: string) => attendance.rotation(id), sweep: () => attendance.sweep() }
  jobs = await Jobs.open('pool' in options ? { pool: options.pool } : { pglite: options.pglite }, { log, schema: jobsSchema, wakes })
  const opened = jobs
  // What a server before this one left: not waited for, so that the server listens at once.
  const looks = [attendance.sweep(), ...(options.countAtStart ? [censuses.takeFirst(serverActor)] : [])]
  const first = Promise.all(looks).catch(() => log.warn('the first look at what is to be done failed'))
  const server: Server = {
    ...{ keyturn, state, access, log, runner, operations, censuses, secrets },
    prefix: app.prefix,
    ...watches({ keyturn, state, secrets }),
    keyrings: together(() => keyturn.keyrings()),
    closing: closing.signal,
    pace: throttle === undefined ? {} : { throttle },
    health: healthOf({ keyturn, state, secrets, version }),
  }
  const close = async () => {
    closing.abort()
    await Promise.all([opened.close(), runner.close(), operations.close(), secrets?.close(), first])
  }
  return { server, close }
}

/** Opens the secrets of the configuration. Without any, nothing of them is made in the database. */
async function openRuns({ log }: FastifyInstance, options: ServerOptions): Promise<SecretRuns | null> {
  const { keyturn, env = process.env } = options
  if (Object.keys(keyturn.config.secrets ?? {}).length === 0) return null
  const client = 'pool' in options ? { pool: options.pool } : { pglite: options.pglite }
  return new SecretRuns(await openSecrets(keyturn, { ...client, env, actor: serverActor }), log)
}

const over: ReadonlySet<string> = new Set(['completed', 'cancelled', 'failed', 'rolled-back'])

function watches({ keyturn, state, secrets }: Pick<Server, 'keyturn' | 'state' | 'secrets'>): Pick<Server, 'watch' | 'watchRuns'> {
  return {
    watch: new Watch({
      find: (id) => viewRotation({ keyturn, state }, id),
      sequence: ({ sequence }) => sequence,
      // The certificate of a rotation is made after it is completed, while its lease is still held.
      final: ({ state, live }) => over.has(state) && !live,
    }),
    watchRuns: new Watch({
      find: async (id) => {
        if (secrets === null) throw fail('ERR_UNKNOWN_NAME', 'run', id, '')
        return viewRun(await secrets.secrets.run(id))
      },
      sequence: ({ steps }) => steps.filter(({ endedAt }) => endedAt !== null).length,
      final: ({ state }) => over.has(state),
    }),
  }
}

function poolCounts(pool: object): PoolCounts | null {
  return 'totalCount' in pool && 'idleCount' in pool && 'waitingCount' in pool ? (pool as PoolCounts) : null
}

/** The routes that other products have, by the roles of this server. */
async function mountCompatible(app: FastifyInstance, { keyturn, access }: Server, { compatible }: ServerOptions): Promise<void> {
  const { keyrings } = keyturn.config
  const encrypting = Object.keys(keyrings).filter((name) => !('sign' in (keyrings[name] ?? {})))
  const [only] = encrypting
  const chosen = compatible ?? (encrypting.length === 1 && only !== undefined ? { keyring: only } : null)
  if (chosen === null) return
  if (!Object.hasOwn(keyrings, chosen.keyring)) throw fail('ERR_UNKNOWN_NAME', 'keyring', chosen.keyring, '')
  const authorize = async (request: FastifyRequest) => operatorOf(await access.callerOf(request))
  await app.register(async (own) => await own.register(keyturnFastify, { keyturn, authorize, ...chosen }))
}

function operatorOf(caller: Caller | null): string | null {
  if (caller === null) return null
  if (!mayAct(caller.role, 'operator')) throw fail('ERR_FORBIDDEN', 'it needs the role "operator"')
  return caller.actor
}
