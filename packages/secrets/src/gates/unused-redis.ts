import { z } from 'zod'
import { findings } from '../outside/findings.ts'
import { inRedis, type RedisSession } from '../outside/redis.ts'
import type { Call, World } from '../secret/call.ts'
import type { Gate } from '../secret/gate.ts'
import { secretRef } from '../secret/options.ts'

export const options = z.strictObject({
  /** Addresses of all nodes, with the login of a user that may CLIENT LIST, in variables. */
  nodes: z.array(secretRef).min(1),
  /** How long connections may go on, in milliseconds; an hour unless given. */
  settleMs: z.int().min(0).max(604_800_000).default(3_600_000),
})

/**
 * Nobody is connected to Redis with the old credential. Where the user changes with it, no connection of the old user is there. Where it stays the same, no
 * connection that is older than the last deployment: such a one has logged in with the old password.
 *
 * Connections of replicas are counted like others. Facts: CLIENT LIST, whose ages are whole seconds.
 */
export default function unusedRedis({ nodes, settleMs }: z.infer<typeof options>, world: World): Gate {
  const onEach = async <T>({ signal }: Call, work: (session: RedisSession) => Promise<T>): Promise<T[]> => {
    const results: T[] = []
    for (const [index, node] of nodes.entries())
      results.push(await inRedis({ where: `Redis, node ${index + 1}, the list of connections`, url: await world.read(node), signal }, work))
    return results
  }
  const clientsOf = async (session: RedisSession) => clientsIn(String(await session.ask('CLIENT', 'LIST')))
  return {
    at: 'unused',
    settleMs,
    check: (call) => findings(async () => (await onEach(call, clientsOf)) && []),
    look: async (call, { current, previous, since }) => {
      if (previous === null) return { works: true, sentence: 'there is no old credential that could be in use' }
      const user = previous.parts.user ?? 'default'
      const isSame = user === (current.parts.user ?? 'default')
      // An age of n seconds is one of less than n + 1: one that may be older counts.
      const oldest = (world.now() - since) / 1000 - 1
      const lists = await onEach(call, clientsOf)
      const old = lists.flat().filter((client) => client.user === user && (!isSame || client.ageSeconds > oldest))
      const whose = `of user "${user}"${isSame ? ' that began before the deployment' : ''}`
      if (old.length === 0) return { works: true, sentence: `there is no connection ${whose} on ${nodes.length} nodes` }
      return { works: false, later: true, sentence: `there are ${old.length} connections ${whose}` }
    },
  }
}

/** Lines such as `id=3 addr=… age=7 … user=app …`; the connection that asks is left out. */
function clientsIn(text: string): { readonly user: string; readonly ageSeconds: number }[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !/ cmd=client(\||\s)/.test(line))
    .map((line) => ({ user: / user=(\S+)/.exec(line)?.[1] ?? '', ageSeconds: Number(/ age=(\d+)/.exec(line)?.[1] ?? 0) }))
}
