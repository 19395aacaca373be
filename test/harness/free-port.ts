import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Systems give ports from 32768 on, or from 49152 on, to whoever asks for any: one of those would be taken while its server is down. */
const [lowest, highest] = [15_000, 32_000]

/** A port of 127.0.0.1 on which nobody listens, and which the system gives to nobody by itself: a server may come back to it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(lowest, highest)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
