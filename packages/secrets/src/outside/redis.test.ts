import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { kindOf } from './failure.ts'
import { inRedis, tryRedis } from './redis.ts'

/** What is answered to every command. */
let answer = ''
const sockets = new Set<Socket>()
const server = createServer((socket) => {
  sockets.add(socket)
  socket.on('error', () => {})
  socket.on('data', () => socket.write(`${answer}\r\n`))
}).listen(0, '127.0.0.1')
await once(server, 'listening')
const address = server.address()
const login = () => ({
  where: 'Redis',
  url: `redis://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
  user: 'app',
  password: 's3cret-password',
  signal: AbortSignal.timeout(60_000),
})
const outcome = (work: Promise<unknown>) =>
  work.then(
    (word) => word,
    (error: unknown) => kindOf(error),
  )
afterAll(() => {
  server.close()
  for (const socket of sockets) socket.destroy()
})

test.each([
  ['-WRONGPASS invalid username-password pair or user is disabled.', 'WRONGPASS', 'refused'],
  ['-ERR invalid password', 'ERR', 'refused'],
  ['-ERR AUTH <password> called without any password configured for the default user.', 'ERR', 'refused'],
  // A server that has no room says nothing of the password.
  ['-ERR max number of clients reached', 'busy', 'busy'],
  ['-ERR max number of clients + cluster connections reached', 'busy', 'busy'],
  ['-LOADING Redis is loading the dataset in memory', 'busy', 'busy'],
  ['-MASTERDOWN Link with MASTER is down', 'busy', 'busy'],
])('%s: a log-in is %s, work %s', async (text, tried, worked) => {
  answer = text
  expect(await outcome(tryRedis(login()))).toBe(tried)
  expect(await outcome(inRedis(login(), (session) => session.ask('PING')))).toBe(worked)
})
