import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { LocalProxy } from './proxy.ts'

/** An API process that serves behind the proxy. */
export interface Machine {
  readonly pid: number
  /** Takes it out of the proxy, lets it answer what it has accepted, and ends it. */
  stop(): Promise<void>
}

const compiled = fileURLToPath(new URL('./main.js', import.meta.url))
const program = existsSync(compiled) ? compiled : fileURLToPath(new URL('./main.ts', import.meta.url))

/**
 * Starts an API process with these variables and no others of ours, and puts it behind the proxy when it listens.
 *
 * @param log - given what it prints
 * @throws Error where it ends instead
 */
export async function startMachine(
  env: { readonly [name: string]: string },
  { proxy, log }: { readonly proxy: LocalProxy; readonly log: (text: string) => void },
): Promise<Machine> {
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env
  const cache = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }
  const child = spawn(process.execPath, [program], {
    env: { PATH, HOME, ...cache, ...env, HOST: '127.0.0.1', PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  let printed = ''
  const listening = new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
      log(text)
      const url = /"event":"listening","url":"([^"]+)"/.exec(printed)?.[1]
      if (url !== undefined) resolve(url)
    })
    exit.then(() => reject(new Error('the process ended instead of listening')), reject)
  })
  const url = await listening
  proxy.add(url)
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      await proxy.drain(url)
      child.kill('SIGTERM')
      await exit
    },
  }
}
