import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { environment, runProgram } from './program.ts'

const world = worldOf({ PATH: process.env.PATH ?? '', HOME: '/nowhere', TOKEN: 'a token' })

const run = async (script: string, more: { input?: string; variables?: string[]; command?: string[] } = {}) => {
  const lines: string[] = []
  const { variables, command = [process.execPath, '-e', script], input = '' } = more
  const env = await environment(world, variables)
  const { code } = await runProgram({ where: 'it', env, input, signal: callOf().signal, command, onLine: (line) => lines.push(line) })
  return { code, lines }
}

test('a program reads what it is given, and its lines and its code come back.', async () => {
  const echo = `process.stdin.pipe(process.stdout); process.stdin.on('end', () => { console.error('noise'); process.exitCode = 7 })`
  expect(await run(echo, { input: 'one\r\ntwo' })).toEqual({ code: 7, lines: ['one', 'two'] })
  expect(await run('', { input: 'x'.repeat(5_000_000) })).toEqual({ code: 0, lines: [] })
})

test('it gets the variables that are named, and no others.', async () => {
  const print = 'console.log(Object.keys(process.env).sort().join())'
  expect((await run(print)).lines).toEqual(['HOME,PATH'])
  expect((await run(print, { variables: ['TOKEN'] })).lines).toEqual(['HOME,PATH,TOKEN'])
  await expect(run(print, { variables: ['MISSING'] })).rejects.toThrow()
})

test('a program that is not there is refused, one that is killed is uncertain.', async () => {
  await expect(run('', { command: ['/nowhere/no-such-program'] })).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  await expect(run(`process.kill(process.pid, 'SIGKILL')`)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
})

test('when the time is over it ends, with all that it has started.', async () => {
  const late = new AbortController()
  const nested = `const { spawn } = require('node:child_process'); const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    console.log(child.pid); setInterval(() => {}, 1000)`
  let pid = 0
  const onLine = (line: string) => {
    pid = Number(line)
    late.abort()
  }
  const command = [process.execPath, '-e', nested]
  const running = runProgram({ where: 'it', env: await environment(world), command, signal: late.signal, onLine })
  await expect(running).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  // What nobody has waited for is still listed, as a zombie, and does nothing any more.
  const isRunning = async () => /\) [^Z] /.test(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))
  await expect.poll(isRunning, { timeout: 60_000 }).toBe(false)
})
