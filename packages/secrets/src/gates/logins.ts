import { z } from 'zod'
import { tryPostgres } from '../outside/postgres.ts'
import { tryRedis } from '../outside/redis.ts'
import type { Verdict } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { Gate } from '../secret/gate.ts'
import { render } from '../secret/template.ts'

export const options = z.strictObject({
  /** Where and as whom, as consumers do it: `postgres://{user}:{password}@bouncer:6432/app`, `rediss://default:{password}@cache:6379`. */
  url: z
    .string()
    .regex(/^(postgres(ql)?|rediss?):\/\//, { error: 'expected an address such as "postgres://{user}:{password}@db:5432/app"' })
    .refine((text) => /\{(current\.)?[A-Za-z]\w*\}@/.test(text), {
      error: 'expected a part of the credential as the password, not the password itself',
    }),
  /** How long it may be refused, in milliseconds; 60,000 unless given: a PgBouncer tries a refused log-in again only after 15 s. */
  settleMs: z.int().min(0).max(86_400_000).default(60_000),
})

/**
 * Logs in with the new credential over a connection of its own, along the way that consumers take, through a PgBouncer for one. Connections that
 * were open before prove nothing: they go on whatever happens to the password.
 */
export default function logins({ url, settleMs }: z.infer<typeof options>): Gate {
  const isPostgres = url.startsWith('postgres')
  const where = isPostgres ? 'Postgres' : 'Redis'
  return {
    at: 'deployed',
    settleMs,
    check: async () => [],
    look: async ({ signal }, { current }): Promise<Verdict> => {
      const address = render({ url }, { current: encoded(current), previous: null, next: null }).url ?? ''
      if (!isPostgres) return verdictOf(await tryRedis({ where, url: address, signal }), where)
      const found = await tryPostgres({ where, url: address, signal })
      if (!('code' in found) && !found.asked)
        return { works: false, later: false, sentence: `${where} asked for no password: nothing can be proved` }
      return verdictOf('code' in found ? found.code : null, where)
    },
  }
}

const verdictOf = (refusal: string | null, where: string): Verdict =>
  refusal === null
    ? { works: true, sentence: `${where} let the new credential in` }
    : { works: false, later: true, sentence: `${where} did not let the new credential in (${refusal})` }

/** Parts as they may stand in an address. */
const encoded = ({ id, parts }: Credential): Credential => ({
  id,
  parts: Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, encodeURIComponent(value)])),
})
