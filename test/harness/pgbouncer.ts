import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { freePort } from './free-port.ts'

/** A PgBouncer of a test's own. */
export interface PgBouncer {
  /** Where it listens: `127.0.0.1:16432`. */
  readonly host: string
  /** Its `auth_file`. */
  readonly file: string
  /** Connection string of its console. */
  readonly console: string
  stop(): Promise<void>
}

const program = ['pgbouncer', '/usr/sbin/pgbouncer'].find((path) => spawnSync(path, ['--version']).status === 0)

/** Whether one is installed. */
export const canStartPgBouncer = program !== undefined

/**
 * Starts an installed PgBouncer before the Postgres on this port of 127.0.0.1, which lets in by SCRAM. The caller stops it.
 *
 * @param users - lines of its `auth_file`, beside that of its administrator
 * @param more - settings of its own, by name
 */
export async function startPgBouncer(postgresPort: number, users: string, more: Readonly<Record<string, number>> = {}): Promise<PgBouncer> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-pgbouncer-'))
  const [port, file, config] = [await freePort(), join(folder, 'users.txt'), join(folder, 'pgbouncer.ini')]
  await writeFile(file, `; the users of the test\n"console" "console-of-the-test"\n${users}`, { mode: 0o600 })
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: file,
    admin_users: 'console',
    server_login_retry: 1,
    ...more,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`)
  await writeFile(config, `[databases]\n* = host=127.0.0.1 port=${postgresPort}\n[pgbouncer]\n${lines.join('')}`)
  // It does not run as root.
  const nobody = process.getuid?.() === 0
  if (nobody) {
    for (const path of [folder, file, config]) await chown(path, 65_534, 65_534)
    await chmod(folder, 0o755)
  }
  const child = spawn(program ?? '', ['-q', ...(nobody ? ['-u', 'nobody'] : []), config], { stdio: 'ignore' })
  const bouncer = {
    host: `127.0.0.1:${port}`,
    file,
    console: `postgres://console:console-of-the-test@127.0.0.1:${port}/pgbouncer`,
    stop: async () => {
      await end(child)
      await rm(folder, { recursive: true, force: true })
    },
  }
  while (!(await answers(bouncer.console))) {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended with code ${child.exitCode}`)
    await sleep(20)
  }
  return bouncer
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  )
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}
