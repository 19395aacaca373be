import { randomUUID } from 'node:crypto'
import type { Sql, SqlState } from '@keyturn/core'
import type { Provider } from '../secret/provider.ts'
import { fromMs, toMs } from './run-rows.ts'

/** What became of the wish to call: a place, or from when to try again, and why. */
export type Admission = { readonly place: string } | { readonly until: number; readonly why: string }

const minute = 60_000
/** How soon it is looked again for a place that another call holds: nobody knows when that ends. */
const lookAgainMs = 5_000
/** The longest that an answer can ask everybody to wait: a later time is of a clock that was set back since. */
const longestHoldMs = 3_700_000
/** After an answer of "too much" that does not say for how long: twice as long each time, from one second. */
const holdMs = (strikes: number) => 1000 * 2 ** Math.min(strikes, 5)

/**
 * The calls to providers that every process on this state makes, counted in it.
 *
 * A call takes a place before it is made, and gives it back when it is answered; that of a process that died comes back by time, when the call
 * could not go on any more. Counted are the last 60 seconds, not minutes of the clock.
 */
export class CallLimits {
  readonly #state: SqlState

  constructor(state: SqlState) {
    this.#state = state
  }

  /**
   * Takes a place.
   *
   * @param forMs - how long the call may take at most
   */
  async take({ key, name, limit }: Provider, { now, forMs }: { readonly now: number; readonly forMs: number }): Promise<Admission> {
    const { schema } = this.#state
    return await this.#state.transaction(async (sql) => {
      const busyUntil = await this.#locked(sql, key, now)
      if (busyUntil !== null)
        return { until: busyUntil, why: `${name} has asked to be left alone until ${new Date(busyUntil).toISOString()}` }
      // What is over and older counts no more; what is of the future was written before the clock was set back.
      await sql.query(
        `DELETE FROM ${schema}.secret_call WHERE provider = $1::text
           AND ((taken_at <= ${fromMs('$2')} AND until <= ${fromMs('$3')}) OR taken_at > ${fromMs('$4')})`,
        [key, String(now - minute), String(now), String(now + minute)],
      )
      const { rows } = await sql.query(
        `SELECT count(*) FILTER (WHERE until > ${fromMs('$2')})::text AS open, count(*) FILTER (WHERE taken_at > ${fromMs('$3')})::text AS recent
         FROM ${schema}.secret_call WHERE provider = $1::text`,
        [key, String(now), String(now - minute)],
      )
      if (Number(rows[0]?.recent) >= limit.perMinute) {
        const oldest = await sql.query(
          `SELECT ${toMs('taken_at')} AS taken_at FROM ${schema}.secret_call WHERE provider = $1::text
           ORDER BY secret_call.taken_at DESC, secret_call.id LIMIT 1 OFFSET ${limit.perMinute - 1}`,
          [key],
        )
        return { until: Number(oldest.rows[0]?.taken_at) + minute, why: `${name} was called ${limit.perMinute} times in the last minute` }
      }
      if (Number(rows[0]?.open) >= limit.atOnce)
        return { until: now + lookAgainMs, why: `${name} is being called ${limit.atOnce} times at once` }
      const place = randomUUID()
      await sql.query(
        `INSERT INTO ${schema}.secret_call (id, provider, taken_at, until) VALUES ($1::text, $2::text, ${fromMs('$3')}, ${fromMs('$4')})`,
        [place, key, String(now), String(now + forMs)],
      )
      return { place }
    })
  }

  /** Whether a call would have a place now. */
  async hasRoom({ key, limit }: Provider, now: number): Promise<boolean> {
    const { query, schema } = this.#state
    const { rows } = await query(
      `SELECT (SELECT count(*) FILTER (WHERE until > ${fromMs('$2')}) FROM ${schema}.secret_call WHERE provider = $1::text)::text AS open,
              (SELECT count(*) FILTER (WHERE taken_at > ${fromMs('$3')}) FROM ${schema}.secret_call WHERE provider = $1::text)::text AS recent,
              (SELECT ${toMs('busy_until')} FROM ${schema}.secret_provider WHERE key = $1::text) AS busy_until`,
      [key, String(now), String(now - minute)],
    )
    const { open, recent, busy_until: busyUntil } = rows[0] ?? {}
    return Number(open) < limit.atOnce && Number(recent) < limit.perMinute && held(busyUntil, now) === null
  }

  /** Counts calls that are made in any case, so that others are not made on top of them. */
  async count({ key }: Provider, now: number): Promise<void> {
    const { query, schema } = this.#state
    await query(
      `INSERT INTO ${schema}.secret_call (id, provider, taken_at, until) VALUES ($1::text, $2::text, ${fromMs('$3')}, ${fromMs('$3')})`,
      [randomUUID(), key, String(now)],
    )
  }

  /** Gives the place back. The call goes on counting for the minute in which it was made. */
  async give({ key }: Provider, place: string, now: number): Promise<void> {
    const { query, schema } = this.#state
    await query(`UPDATE ${schema}.secret_call SET until = ${fromMs('$2')} WHERE id = $1::text AND until > ${fromMs('$2')}`, [
      place,
      String(now),
    ])
    // It answers again: the next "too much" is the first one.
    await query(`UPDATE ${schema}.secret_provider SET strikes = 0 WHERE key = $1::text AND strikes > 0`, [key])
  }

  /**
   * It said that it is asked too much: everybody leaves it alone for a while.
   *
   * @param afterMs - for how long, where the answer said so
   */
  async hold(
    { key }: Provider,
    place: string,
    { now, afterMs }: { readonly now: number; readonly afterMs: number | undefined },
  ): Promise<void> {
    const { schema } = this.#state
    await this.#state.transaction(async (sql) => {
      await sql.query(`UPDATE ${schema}.secret_call SET until = ${fromMs('$2')} WHERE id = $1::text AND until > ${fromMs('$2')}`, [
        place,
        String(now),
      ])
      const { rows } = await sql.query(`SELECT strikes::text AS strikes FROM ${schema}.secret_provider WHERE key = $1::text FOR UPDATE`, [
        key,
      ])
      await sql.query(
        `UPDATE ${schema}.secret_provider SET strikes = least(strikes + 1, 30), busy_until = greatest(busy_until, ${fromMs('$2')}) WHERE key = $1::text`,
        [key, String(now + (afterMs ?? holdMs(Number(rows[0]?.strikes ?? 0))))],
      )
    })
  }

  /** Keeps others from counting until the transaction ends. @returns until when it is left alone, or null */
  async #locked(sql: Sql, key: string, now: number): Promise<number | null> {
    const { schema } = this.#state
    await sql.query(`INSERT INTO ${schema}.secret_provider (key) VALUES ($1::text) ON CONFLICT (key) DO NOTHING`, [key])
    const { rows } = await sql.query(
      `SELECT ${toMs('busy_until')} AS busy_until FROM ${schema}.secret_provider WHERE key = $1::text FOR UPDATE`,
      [key],
    )
    return held(rows[0]?.busy_until, now)
  }
}

function held(busyUntil: unknown, now: number): number | null {
  const until = typeof busyUntil === 'string' ? Number(busyUntil) : 0
  return until > now && until < now + longestHoldMs ? until : null
}
