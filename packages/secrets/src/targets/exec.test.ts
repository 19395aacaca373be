import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { targetConformance } from '../../../../test/conformance/secrets/target.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import exec, { options } from './exec.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-exec-'))
const world = worldOf({ PATH: process.env.PATH, GIVEN: 'passed on', KEYTURN_ROOT_KEY: 'r00t-s3cret' }, Date.now)
const node = (script: string) => [process.execPath, '-e', script]
const targetOf = (more: object) => exec(options.parse(more), world)
const call = (signal = new AbortController().signal): Call => ({ secret: 'jwt', attempt: 'a1', signal })

afterAll(() => rm(folder, { recursive: true }))

/** Has the application read its `.env`, unless `mode` says how it goes wrong. Prints what it read, as careless programs do. */
const takingScript = `PATH=/bin:/usr/bin; mode=$(cat mode); : > mode
if [ "$mode" = refuse ]; then exit 3; fi
if [ "$mode" = hang ]; then : > hanging; sleep 3600; fi
cp .env running; cat .env; env >> sent; echo "$KEYTURN_ATTEMPT" >> attempts
if [ "$mode" = lose ]; then kill -9 $$; fi`

targetConformance('exec', async (first) => {
  const own = join(folder, 'conforming')
  await mkdir(own)
  for (const name of ['.env', 'running']) await writeFile(join(own, name), `KEY=${first}\n`, { mode: 0o600 })
  for (const name of ['mode', 'sent', 'attempts']) await writeFile(join(own, name), '')
  const config = { command: ['/bin/sh', '-c', takingScript], folder: own }
  const mine = { OTHER_KEY: 'r00t-s3cret-of-others' }
  const text = (name: string) => readFile(join(own, name), 'utf8')
  const mode = (word: string) => writeFile(join(own, 'mode'), word)
  return {
    store: { store: 'env-file', path: join(own, '.env') },
    config: { target: 'exec', ...config },
    env: mine,
    part: exec(options.parse(config), worldOf(mine, Date.now)),
    running: async () => [/^KEY=(.*)$/m.exec(await text('running'))?.[1]],
    deployments: async () => new Set((await text('attempts')).split('\n').filter((line) => line !== '')).size,
    sent: () => text('sent'),
    lose: () => mode('lose'),
    refuse: () => mode('refuse'),
    hang: async () => {
      await mode('hang')
      return () =>
        text('hanging').then(
          () => true,
          () => false,
        )
    },
    close: async () => {},
  }
})

test('the program runs in its folder, with the names of secret and attempt, and with the variables that are named', async () => {
  const command = node("require('fs').writeFileSync('env.json', JSON.stringify(process.env))")
  expect(await targetOf({ command, folder, env: ['GIVEN'] }).deploy(call(), {})).toEqual({ exit: 0 })
  const env = JSON.parse(await readFile(join(folder, 'env.json'), 'utf8'))
  expect(env).toMatchObject({ KEYTURN_SECRET: 'jwt', KEYTURN_ATTEMPT: 'a1', GIVEN: 'passed on' })
  expect(env).not.toHaveProperty('KEYTURN_ROOT_KEY')
})

test('no shell stands in between', async () => {
  const script = 'process.exitCode = process.argv[1] === "$(touch x); * $PATH" ? 0 : 1'
  expect(await targetOf({ command: [...node(script), '$(touch x); * $PATH'] }).deploy(call(), {})).toEqual({ exit: 0 })
})

test('an exit says what came of it, and nothing that was printed', async () => {
  const deploy = (code: number) =>
    targetOf({ command: node(`console.log('s3cret-value'); console.error('s3cret-value'); process.exitCode = ${code}`) }).deploy(call(), {})
  await expect(deploy(75)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
  const failed = await deploy(3).catch((error: unknown) => error)
  expect(failed).toMatchObject({ code: 'ERR_OUTSIDE_REFUSED', message: expect.stringContaining('ended with 3') })
  expect(`${failed}${JSON.stringify(await deploy(0))}`).not.toContain('s3cret-value')
})

test('a program that is not there is refused; one that somebody ended is uncertain', async () => {
  await expect(targetOf({ command: [join(folder, 'nothing')] }).deploy(call(), {})).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  await expect(targetOf({ command: node('process.kill(process.pid, "SIGKILL")') }).deploy(call(), {})).rejects.toMatchObject({
    code: 'ERR_OUTSIDE_UNCERTAIN',
  })
})

test('when the time is over it is ended, with what it started', async () => {
  const pids = join(folder, 'pids')
  const grandchild = "require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' }).pid"
  await writeFile(pids, '')
  const command = node(
    `require('fs').writeFileSync(${JSON.stringify(pids)}, process.pid + ' ' + ${grandchild}); setInterval(() => {}, 1000)`,
  )
  const stop = new AbortController()
  const deployed = targetOf({ command }).deploy(call(stop.signal), {})
  await expect.poll(() => readFile(pids, 'utf8'), { timeout: 60_000 }).toMatch(/\d+ \d+/)
  stop.abort()
  await expect(deployed).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  for (const pid of (await readFile(pids, 'utf8')).split(' '))
    await expect.poll(() => isRunning(Number(pid)), { timeout: 60_000 }).toBe(false)
})

test('a daemon that it leaves behind does not hold it', async () => {
  const daemon = "require('child_process').spawn('sleep', ['3'], { stdio: 'inherit' }).unref(); process.exit(0)"
  expect(await targetOf({ command: node(daemon) }).deploy(call(), {})).toEqual({ exit: 0 })
})

test('a check asks the program for it, and says what is not set', async () => {
  const command = ['true']
  expect(await targetOf({ command }).check(call())).toEqual([])
  expect(await targetOf({ command, ready: node('process.exitCode = 1') }).check(call())).toMatchObject([{ severity: 'fault' }])
  expect(await targetOf({ command, ready: node('') }).check(call())).toEqual([])
  expect(await targetOf({ command, env: ['UNSET'] }).check(call())).toMatchObject([{ severity: 'fault' }])
  expect(targetOf({ command, seconds: 5 }).callMs).toBe(5_000)
})

test('options that cannot work are refused', () => {
  for (const wrong of [{}, { command: [] }, { command: [''] }, { command: 'pm2 reload' }, { command: ['x'], env: ['4f'.repeat(32)] }])
    expect(options.safeParse(wrong).success).toBe(false)
})

async function isRunning(pid: number): Promise<boolean> {
  // A process that nobody has waited for is still listed, and does nothing any more.
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return state !== '' && !/\) Z /.test(state)
}
