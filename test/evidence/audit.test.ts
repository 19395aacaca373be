import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { checkCheckpoint, checkpointLine } from '../../packages/core/src/audit/checkpoint.ts'
import { eventLine, verifyLines } from '../../packages/core/src/audit/line.ts'
import { append } from '../../packages/core/src/audit/log.ts'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import type { Keyturn } from '../../packages/core/src/keyturn.ts'
import { useDatabase } from '../harness/postgres.ts'
import { environment, eventsOf, fast, opened, publicKey, refill } from './world.ts'

const server = useDatabase()
const sql = (text: string) => server.pool.query(text)

async function appendMany(count: number): Promise<void> {
  const state = pgState(server.pool)
  await state.transaction(async (tx) => {
    for (let n = 0; n < count; n++)
      await append(tx, state.schema, { actor: 'test', action: 'thing.change', subject: `thing/${n}`, data: { n } })
  })
}

describe('An attack on the audit log is found', () => {
  const length = 2_100
  let head = ''

  beforeAll(async () => {
    await refill(server.pool, 1)
    await opened(server.pool, async (keyturn) => {
      const { events } = await keyturn.audit.verify()
      await appendMany(length - events)
      const found = await keyturn.audit.verify()
      expect(found).toMatchObject({ intact: true, events: length, fault: null })
      head = found.head
    })
    await sql('CREATE TABLE saved_event AS TABLE keyturn.audit_event; CREATE TABLE saved_head AS TABLE keyturn.audit_head')
  })
  beforeEach(() =>
    sql(`TRUNCATE keyturn.audit_event; INSERT INTO keyturn.audit_event TABLE saved_event;
      UPDATE keyturn.audit_head SET (seq, hash) = (SELECT seq, hash FROM saved_head)`),
  )

  const attacks: [string, string, number, string][] = [
    ['an actor changed', "UPDATE keyturn.audit_event SET actor = 'forger' WHERE seq = 1500", 1500, 'hash'],
    ['an action changed', "UPDATE keyturn.audit_event SET action = 'thing.keep' WHERE seq = 1001", 1001, 'hash'],
    ['a subject changed', "UPDATE keyturn.audit_event SET subject = 'thing/x' WHERE seq = 1000", 1000, 'hash'],
    ['a time changed by a microsecond', "UPDATE keyturn.audit_event SET at = at + interval '1 microsecond' WHERE seq = 1", 1, 'hash'],
    ['facts changed', `UPDATE keyturn.audit_event SET data = '{"n":-1}' WHERE seq = 1500`, 1500, 'hash'],
    ['facts written in another way', `UPDATE keyturn.audit_event SET data = replace(data, '{', '{"n":-1,') WHERE seq = 1500`, 1500, 'hash'],
    ['facts replaced by what is no JSON', "UPDATE keyturn.audit_event SET data = 'x' WHERE seq = 1500", 1500, 'hash'],
    ['a hash changed', "UPDATE keyturn.audit_event SET hash = decode(repeat('ab', 32), 'hex') WHERE seq = 1500", 1500, 'hash'],
    [
      'a previous hash changed',
      "UPDATE keyturn.audit_event SET previous = decode(repeat('ab', 32), 'hex') WHERE seq = 1500",
      1500,
      'previous',
    ],
    ['an event removed', 'DELETE FROM keyturn.audit_event WHERE seq = 1500', 1500, 'sequence'],
    ['the first event removed', 'DELETE FROM keyturn.audit_event WHERE seq = 1', 1, 'sequence'],
    [
      'an event removed and the others moved up',
      `DELETE FROM keyturn.audit_event WHERE seq = 1500; UPDATE keyturn.audit_event SET seq = -seq WHERE seq > 1500;
       UPDATE keyturn.audit_event SET seq = -seq - 1 WHERE seq < 0; UPDATE keyturn.audit_head SET seq = seq - 1`,
      1500,
      'previous',
    ],
    [
      'two events exchanged',
      `UPDATE keyturn.audit_event SET seq = -seq WHERE seq IN (1500, 1501); UPDATE keyturn.audit_event SET seq = 3001 + seq WHERE seq < 0`,
      1500,
      'previous',
    ],
    [
      'an event inserted',
      `UPDATE keyturn.audit_event SET seq = -seq WHERE seq > 1500; UPDATE keyturn.audit_event SET seq = 1 - seq WHERE seq < 0;
       INSERT INTO keyturn.audit_event SELECT 1501, at, actor, action, subject, data, previous, hash FROM keyturn.audit_event WHERE seq = 1500;
       UPDATE keyturn.audit_head SET seq = seq + 1`,
      1501,
      'previous',
    ],
    [
      'an event before the first',
      `INSERT INTO keyturn.audit_event SELECT 0, at, actor, action, subject, data, previous, hash FROM keyturn.audit_event WHERE seq = 1`,
      1,
      'sequence',
    ],
    [
      'an event after the last',
      `INSERT INTO keyturn.audit_event SELECT ${length + 1}, at, actor, action, subject, data, hash, hash FROM keyturn.audit_event WHERE seq = ${length}`,
      length + 1,
      'hash',
    ],
    ['the end cut off', 'DELETE FROM keyturn.audit_event WHERE seq > 2000', 2001, 'head'],
    ['a head written by hand', "UPDATE keyturn.audit_head SET hash = decode(repeat('ab', 32), 'hex')", length, 'head'],
    ['a head of another number', 'UPDATE keyturn.audit_head SET seq = seq - 1', length + 1, 'head'],
    ['no head', 'DELETE FROM keyturn.audit_head', length + 1, 'head'],
    ['everything removed but the head', 'DELETE FROM keyturn.audit_event', 1, 'head'],
  ]
  test.each(attacks)('%s', async (_, attack, seq, reason) => {
    await sql(attack)
    await opened(server.pool, async (keyturn) => {
      expect(await keyturn.audit.verify()).toMatchObject({ intact: false, fault: { seq, reason } })
    })
    await sql("INSERT INTO keyturn.audit_head (seq, hash) VALUES (0, '') ON CONFLICT DO NOTHING")
  })

  test('an event that stands twice, once the key of the table is gone, also where a page ends', async () => {
    await sql('ALTER TABLE keyturn.audit_event DROP CONSTRAINT audit_event_pkey')
    try {
      for (const seq of [1000, 1500]) {
        await sql(
          `INSERT INTO keyturn.audit_event SELECT seq, at, 'forger', action, subject, data, previous, hash FROM keyturn.audit_event WHERE seq = ${seq}`,
        )
        await opened(server.pool, async (keyturn) => expect((await keyturn.audit.verify()).intact).toBe(false))
        await sql(`DELETE FROM keyturn.audit_event WHERE actor = 'forger'`)
      }
    } finally {
      await sql('ALTER TABLE keyturn.audit_event ADD PRIMARY KEY (seq)')
    }
  })

  const cut = `DELETE FROM keyturn.audit_event WHERE seq > 2000;
    UPDATE keyturn.audit_head SET (seq, hash) = (SELECT seq, hash FROM keyturn.audit_event WHERE seq = 2000)`

  test('the end cut off together with the head, by the head that was kept elsewhere', async () => {
    await sql(cut)
    await opened(server.pool, async (keyturn) => {
      expect(await keyturn.audit.verify()).toMatchObject({ intact: true, events: 2000 })
      expect(await keyturn.audit.verify({ expect: head })).toMatchObject({ intact: false, fault: { seq: length, reason: 'head' } })
    })
  })

  test('a log cut off and continued, or written anew from its beginning, by the head that was kept elsewhere', async () => {
    await sql(cut)
    await appendMany(200)
    await opened(server.pool, async (keyturn) => {
      expect(await keyturn.audit.verify()).toMatchObject({ intact: true, events: 2200 })
      expect(await keyturn.audit.verify({ expect: head })).toMatchObject({ intact: false, fault: { seq: length, reason: 'head' } })
    })
    await sql(`TRUNCATE keyturn.audit_event; UPDATE keyturn.audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex')`)
    await appendMany(length)
    await opened(server.pool, async (keyturn) => {
      expect(await keyturn.audit.verify()).toMatchObject({ intact: true, events: length })
      expect(await keyturn.audit.verify({ expect: head })).toMatchObject({ intact: false, fault: { seq: length, reason: 'head' } })
    })
  })

  test('nothing is found in a log that only grew: its old heads hold, wherever they are, and events come while it is read', async () => {
    await opened(server.pool, async (keyturn) => {
      const appending = appendMany(300)
      const reports = await Promise.all([1, 2, 3].map(() => keyturn.audit.verify({ expect: head })))
      await appending
      expect(reports.map(({ intact }) => intact)).toEqual([true, true, true])
      const { rows } = await sql(
        `SELECT seq || ':' || encode(hash, 'hex') AS head FROM keyturn.audit_event WHERE seq IN (1, 1000, 1001, 2399)`,
      )
      for (const { head: old } of rows) expect(await keyturn.audit.verify({ expect: old })).toMatchObject({ intact: true })
      expect(await keyturn.audit.verify({ expect: `0:${'00'.repeat(32)}` })).toMatchObject({ intact: true })
    })
  })
})

describe('Checkpoints', () => {
  beforeEach(() => refill(server.pool, 5))

  test('are told to the sink after each rotation, prove the log, and are refused once it was written anew', async () => {
    const lines: string[] = []
    const sink = (line: string) => lines.push(line)
    await opened(
      server.pool,
      async (keyturn) => {
        const { certificate } = await keyturn.rotate('app', fast)
        expect(lines).toHaveLength(1)
        const line = lines[0] as string
        const { head } = checkCheckpoint(line, publicKey.pem)
        expect(Number(head.split(':')[0])).toBe(1 + Number(String(certificate?.claim.auditHead).split(':')[0]))
        expect(await keyturn.audit.verify({ expect: line })).toMatchObject({ intact: true, head })
        await keyturn.rotate('app', fast)
        expect(lines).toHaveLength(2)
        expect(await keyturn.audit.verify({ expect: line })).toMatchObject({ intact: true })
        await sql(`TRUNCATE keyturn.audit_event; UPDATE keyturn.audit_head SET seq = 0, hash = decode(repeat('00', 32), 'hex')`)
        await appendMany(40)
        expect(await keyturn.audit.verify({ expect: line })).toMatchObject({ intact: false, fault: { reason: 'head' } })
      },
      { sink },
    )
  })

  test('of a log without a signing key are not signed and hold all the same', async () => {
    const { SIGNING_KEY: _, ...env } = environment
    await opened(
      server.pool,
      async (keyturn) => {
        const checkpoint = await keyturn.audit.checkpoint()
        expect(checkpoint).toMatchObject({ signer: null, signature: null })
        expect(await keyturn.audit.verify({ expect: checkpointLine(checkpoint) })).toMatchObject({ intact: true })
      },
      { env },
    )
  })

  test('are not made over a head that was written by hand', async () => {
    await opened(server.pool, async (keyturn) => {
      await sql(`UPDATE keyturn.audit_head SET hash = decode(repeat('ab', 32), 'hex')`)
      await expect(keyturn.audit.checkpoint()).rejects.toThrow('does not end where its head says')
    })
  })

  test('that their sink refuses stop no rotation, and are on record', async () => {
    const sink = () => {
      throw new Error('postgres://marked@host')
    }
    await opened(
      server.pool,
      async (keyturn) => {
        expect(await keyturn.rotate('app', fast)).toMatchObject({
          state: 'completed',
          rotated: 5,
          certificate: { signer: publicKey.signer },
        })
        expect(await actions(keyturn)).toContain('checkpoint.fail')
        expect(await keyturn.audit.verify()).toMatchObject({ intact: true })
      },
      { sink },
    )
  })
})

const actions = async (keyturn: Keyturn) => (await eventsOf(keyturn)).map(({ action }) => action)

test('An export checks without a database, and is the log event for event', async () => {
  await refill(server.pool, 5)
  await opened(server.pool, async (keyturn) => {
    await keyturn.rotate('app', fast)
    await appendMany(1_500)
    const { head, events } = await keyturn.audit.verify()
    const lines = (await eventsOf(keyturn)).map(eventLine)
    expect(await verifyLines(lines)).toEqual({ intact: true, events, head, fault: null })
  })
})

test('Everything is on record: what was refused and what failed, with its code and without its values', async () => {
  await refill(server.pool, 5)
  await opened(server.pool, async (keyturn) => {
    await sql("UPDATE tokens SET token = 'marked ' || id WHERE id < 6")
    await expect(keyturn.rotate('app', { ...fast, accept: false })).rejects.toThrow()
    await expect(keyturn.cancel((await keyturn.rotate('app', fast).catch(() => ({ id: 'none' }))).id)).rejects.toThrow()
    await sql('DELETE FROM tokens; INSERT INTO tokens VALUES (1, NULL)')
    const { id } = await keyturn.rotate('app', fast)
    await expect(keyturn.resume(id)).rejects.toThrow()
    await expect(keyturn.rewrap('app', { drop: 'local:nothing' })).resolves.toMatchObject({ dropped: 0 })
    const failed = (await eventsOf(keyturn)).filter(({ action }) => action === 'action.fail')
    expect(failed.map(({ subject, data }) => [subject, data.action, data.code])).toEqual([
      ['keyring/app', 'rotation.start', 'ERR_SAMPLE'],
      ['keyring/app', 'rotation.start', 'ERR_SAMPLE'],
      [`rotation/${id}`, 'rotation.resume', 'ERR_ROTATION_STATE'],
    ])
    expect(JSON.stringify(failed)).not.toContain('marked')
    expect(await keyturn.audit.verify()).toMatchObject({ intact: true })
  })
})
