import { randomBytes } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import type { Pool } from 'pg'
import { migrate } from '../../../examples/cloudforge/src/clients.ts'
import { type RedisServer, startRedis } from '../../harness/redis-server.ts'

const newPassword = () => randomBytes(18).toString('hex')

/** The roles of one test file in Postgres; they are of the whole server. */
export interface Roles {
  readonly pair: readonly [string, string]
  /** The address of the database, without a login. */
  readonly address: string
  /** Of the first one, which is in use. */
  readonly password: string
  /** Once the database is gone. */
  drop(pool: Pick<Pool, 'query'>): Promise<void>
}

/** What an administrator of CloudForge has made: an owner, two roles that take turns, tables, a client for smoke tests. */
export async function preparePostgres(pool: Pool, url: string, smoke: string): Promise<Roles> {
  const owner = `cloudforge_${randomBytes(4).toString('hex')}`
  const [a, b, password] = [`${owner}_a`, `${owner}_b`, newPassword()]
  await pool.query(`
    CREATE ROLE ${owner};
    CREATE ROLE ${a} LOGIN PASSWORD '${password}' IN ROLE ${owner};
    CREATE ROLE ${b} NOLOGIN IN ROLE ${owner};
    ALTER ROLE ${a} SET role = ${owner};
    ALTER ROLE ${b} SET role = ${owner}`)
  await migrate(pool, { owner, smoke })
  const { host, pathname } = new URL(url)
  return {
    pair: [a, b],
    address: `${host}${pathname}`,
    password,
    drop: async (left) => {
      await left.query(`REASSIGN OWNED BY ${owner} TO CURRENT_USER; DROP OWNED BY ${owner}; DROP ROLE ${a}, ${b}, ${owner}`)
    },
  }
}

/** What Postgres has of the password of a role: PgBouncer must have the same, byte for byte. */
export async function verifierOf(pool: Pick<Pool, 'query'>, role: string): Promise<string> {
  const { rows } = await pool.query('SELECT rolpassword AS kept FROM pg_authid WHERE rolname = $1', [role])
  return String(rows[0]?.kept)
}

/** A Redis of a test's own, with an administrator and the user of the application. */
export interface PreparedRedis {
  readonly server: RedisServer
  readonly adminUrl: string
  /** Without a login. */
  readonly address: string
  readonly password: string
}

export async function prepareRedis(): Promise<PreparedRedis> {
  const server = await startRedis()
  const [admin, password] = [newPassword(), newPassword()]
  const client = new Redis(server.url)
  await client.acl('SETUSER', 'admin', 'on', `>${admin}`, '~*', '&*', '+@all')
  await client.acl('SETUSER', 'cloudforge', 'on', `>${password}`, '~cloudforge:*', '+@all', '-@dangerous', '+info')
  client.disconnect()
  const address = `127.0.0.1:${server.port}`
  return { server, adminUrl: `redis://admin:${admin}@${address}`, address, password }
}

/** Stands before a server and keeps every byte that is sent to it: what a log of statements, or a listener, could have. */
export interface Recorder {
  readonly port: number
  readonly sent: string
  close(): Promise<void>
}

export async function startRecorder(to: { readonly host: string; readonly port: number }): Promise<Recorder> {
  const sockets = new Set<Socket>()
  let sent = ''
  const server = createServer((client) => {
    const upstream = connect(to.port, to.host)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => sockets.delete(socket))
    }
    client.on('data', (bytes) => {
      sent += bytes.toString('latin1')
    })
    client.pipe(upstream)
    upstream.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get sent() {
      return sent
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
