import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DevState, stateFile } from '../dev-state.ts'

/** Has the development server of this folder read `.env` again. Ends with 0 when its processes have it, with 1 where they have not started. */
const read = async (): Promise<DevState> => JSON.parse(await readFile(stateFile, 'utf8'))

const { pid, reads } = await read()
process.kill(pid, 'SIGHUP')
let state = await read()
while (state.reads === reads) {
  await sleep(20)
  // Throws where the server has ended.
  process.kill(pid, 0)
  state = await read()
}
process.exit(state.failed ? 1 : 0)
