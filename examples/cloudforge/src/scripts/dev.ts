import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import { type DevState, stateFile } from '../dev-state.ts'
import { type Machine, startMachine } from '../machine.ts'
import { startProxy } from '../proxy.ts'

const PROCESSES = 1

/** The development server: processes with the variables of `.env`, behind the proxy. SIGHUP reads it again and replaces one after the other. */
async function serve(): Promise<void> {
  const proxy = await startProxy(Number(process.env.PORT || 4500))
  const machines: Machine[] = []
  let reads = 0
  const tell = async (failed: boolean) => {
    const state: DevState = { pid: process.pid, reads, failed }
    await writeFile(`${stateFile}.next`, JSON.stringify(state))
    await rename(`${stateFile}.next`, stateFile)
  }
  const replaceAll = async () => {
    const env = parseEnv(await readFile('.env', 'utf8')) as { [name: string]: string }
    const old = machines.splice(0)
    try {
      for (let n = 0; n < PROCESSES; n++) {
        machines.push(await startMachine(env, { proxy, log: (text) => process.stdout.write(text) }))
        await old.shift()?.stop()
      }
    } finally {
      machines.push(...old)
      reads++
    }
    await tell(false)
  }
  await replaceAll()
  console.log(`serving on ${proxy.url}`)
  let work = Promise.resolve()
  process.on('SIGHUP', () => {
    work = work.then(replaceAll).catch(() => tell(true))
  })
  process.once('SIGTERM', async () => {
    await work
    await Promise.all(machines.map((machine) => machine.stop()))
    await rm(stateFile, { force: true })
    process.exit(0)
  })
}

await serve()
