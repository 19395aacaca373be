import { z } from 'zod'
import { findings } from '../outside/findings.ts'
import { inPostgres, type PostgresSession } from '../outside/postgres.ts'
import type { Call, World } from '../secret/call.ts'
import type { Gate } from '../secret/gate.ts'
import { secretRef } from '../secret/options.ts'

export const options = z.strictObject({
  /** Connection string of a role that may look at `pg_stat_activity`, in a variable. */
  admin: secretRef,
  /** How long sessions may go on, in milliseconds; an hour unless given. Pools that recycle connections need their longest life. */
  settleMs: z.int().min(0).max(604_800_000).default(3_600_000),
})

/**
 * Nobody is connected to Postgres with the old credential. Where the role changes with it, no session of the old role is there. Where it stays the
 * same, no session that began before the last deployment was over: such a one has logged in with the old password.
 *
 * Facts: pg_stat_activity, whose user and times every role may see. It says nothing of who will come back: the grace is for that.
 */
export default function unusedPostgres({ admin, settleMs }: z.infer<typeof options>, world: World): Gate {
  const where = 'Postgres, the list of sessions'
  const ask = async <T>({ signal }: Call, work: (session: PostgresSession) => Promise<T>): Promise<T> =>
    inPostgres({ where, url: await world.read(admin), signal }, work)
  const text = `
    SELECT count(*)::int AS sessions, count(DISTINCT client_addr)::int AS addresses FROM pg_stat_activity
    WHERE usename = $1 AND pid <> pg_backend_pid() AND ($2::float8 IS NULL OR backend_start < to_timestamp($2::float8 / 1000))`
  return {
    at: 'unused',
    settleMs,
    check: (call) => findings(() => ask(call, async (session) => (await session.query(text, ['', null])) && [])),
    look: (call, { current, previous, since }) =>
      ask(call, async (session) => {
        const role = previous?.parts.user ?? previous?.id
        if (role === undefined || role === null) return { works: true, sentence: 'there is no old role that could be in use' }
        const isSame = role === (current.parts.user ?? current.id)
        const [row] = await session.query<{ sessions: number; addresses: number }>(text, [role, isSame ? since : null])
        const { sessions = 0, addresses = 0 } = row ?? {}
        const whose = `of role "${role}"${isSame ? ' that began before the deployment' : ''}`
        if (sessions === 0) return { works: true, sentence: `there is no session ${whose}` }
        return { works: false, later: true, sentence: `there are ${sessions} sessions ${whose}, from ${addresses} addresses` }
      }),
  }
}
