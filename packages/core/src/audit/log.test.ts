import { beforeAll, describe, expect, test } from 'vitest'
import { usePglite } from '../../../../test/harness/pglite.ts'
import { useDatabase } from '../../../../test/harness/postgres.ts'
import { pgliteState, pgState } from '../databases/postgres/sql.ts'
import { migrate } from '../state/schema.ts'
import type { SqlState } from '../state/sql.ts'
import { verifyChain } from './chain.ts'
import { append, readEvents, readHead } from './log.ts'

const event = (n: number) => ({
  actor: 'library',
  action: 'thing.change',
  subject: `thing/${n}`,
  data: { n, text: 'ä"\\\n', deep: { b: [1, null], a: true } },
})

function keepsAChain(open: () => SqlState) {
  let state: SqlState
  beforeAll(async () => {
    state = open()
    await migrate(state)
  })

  test('events appended at once follow each other without a gap', async () => {
    await Promise.all(Array.from({ length: 12 }, (_, n) => state.transaction((sql) => append(sql, state.schema, event(n)))))
    const events = await readEvents(state, state.schema)
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 12 }, (_, n) => n + 1))
    expect(verifyChain(events)).toEqual({ intact: true, head: await readHead(state, state.schema) })
    expect(events[0]!.data).toEqual(event(Number(events[0]!.data.n)).data)
  })

  test('an event whose change is rolled back is not in the log, and leaves no gap', async () => {
    const before = await readHead(state, state.schema)
    await expect(
      state.transaction(async (sql) => {
        await append(sql, state.schema, event(1))
        throw new Error('rolled back')
      }),
    ).rejects.toThrow('rolled back')
    expect(await readHead(state, state.schema)).toEqual(before)
  })

  test('a page begins after a sequence number, and a given time is kept to the millisecond', async () => {
    const { seq } = await state.transaction((sql) => append(sql, state.schema, event(1), new Date('2026-02-03T04:05:06.789Z')))
    const page = await readEvents(state, state.schema, { after: seq - 1, limit: 1 })
    expect(page).toHaveLength(1)
    expect(page[0]).toMatchObject({ seq, at: '2026-02-03T04:05:06.789Z' })
  })

  test.each([
    ['actor', `actor = 'forger'`],
    ['time by a microsecond', `at = at + interval '1 microsecond'`],
    ['data', `data = '{"n":7}'`],
    ['data to what is no JSON', `data = 'x'`],
  ])('a change of the %s by SQL is found', async (_, change) => {
    const { seq } = await state.transaction((sql) => append(sql, state.schema, event(1)))
    const [was] = (await state.query(`SELECT actor, at::text AS at, data FROM ${state.schema}.audit_event WHERE seq = ${seq}`)).rows
    await state.query(`UPDATE ${state.schema}.audit_event SET ${change} WHERE seq = ${seq}`)
    expect(verifyChain(await readEvents(state, state.schema))).toEqual({ intact: false, seq, reason: 'hash' })
    await state.query(
      `UPDATE ${state.schema}.audit_event SET actor = $1::text, at = $2::text::timestamptz, data = $3::text WHERE seq = ${seq}`,
      [was!.actor, was!.at, was!.data],
    )
    expect(verifyChain(await readEvents(state, state.schema)).intact).toBe(true)
  })
}

describe('on Postgres', () => {
  const database = useDatabase()
  keepsAChain(() => pgState(database.pool))
})
describe('on PGlite', () => {
  const pglite = usePglite()
  keepsAChain(() => pgliteState(pglite()))
})
