import type { Plan, ProgressReport, RotationResult, Status, Verification } from '@keyturn/core'
import { expect, test } from 'vitest'
import { nextCommands } from '../command-line.ts'
import { auditScreen } from './audit.ts'
import { censusScreen } from './census.ts'
import { planScreen } from './plan.ts'
import { progressScreen } from './progress.ts'
import { retirementScreen } from './retirement.ts'
import { rotationScreen } from './rotation.ts'
import { statusScreen } from './status.ts'
import { verificationScreen } from './verification.ts'
import { duration, size } from './words.ts'

const commands = nextCommands({ verb: { name: 'rotate', arguments: [] }, args: [], options: {} }, 'r1')
const result: RotationResult = {
  id: 'r1',
  mode: 'online',
  state: 'completed',
  total: 1207,
  rotated: 1204,
  skipped: 1,
  failed: [{ field: 'users.token', row: { tenant: '7', id: '12' }, reason: 'ERR_DECRYPT' }],
  failedCount: 2,
  conflicts: 3,
  rows: 1204,
  tables: 5,
  certificate: null,
}

test('a rotation is summed up in words, with the values set aside and what to do next', () => {
  expect(rotationScreen(result, [], commands)).toBe(`1,204 rows re-encrypted across 5 tables.
Rotation r1: completed; 1,204 values rotated.
1 current already, 2 set aside, 3 written by others meanwhile and done again.

Values that do not open
  users.token  tenant=7 id=12  ERR_DECRYPT
  … and 1 more; --json lists up to 1,000

What to do next
  keyturn verify
  Look at the values set aside; they are as they were.`)
})

test('a rotation that holds tables says how to release them', () => {
  const holds = [{ rotationId: 'r1', tables: ['public.users'] }]
  const screen = rotationScreen({ ...result, mode: 'transaction', failed: [], failedCount: 0 }, holds, commands)
  expect(screen).toMatch(
    /1\. Put the new key .*\n {5}Until then public\.users cannot be written.*\n {2}2\. keyturn release r1\n {2}3\. keyturn verify$/,
  )
})

test('a rotation that was paused says how to go on', () => {
  const screen = rotationScreen({ ...result, state: 'paused' }, [], commands)
  expect(screen).toContain('To go on:\n  keyturn resume r1\n  To end it instead')
})

test('no line about a rotation is long, however many values there are', () => {
  const many = { id: '0198f3c2-7d1e-7abc-8def-0123456789ab', rotated: 12_345_678, skipped: 12_345_678, failedCount: 12_345_678 }
  const screen = rotationScreen({ ...result, ...many, conflicts: 12_345 }, [], commands)
  for (const line of screen.split('\n')) expect(line.length).toBeLessThan(110)
})

test('what the database names things with breaks no line', () => {
  const row = { slug: 'a\nKeyturn says: all is well\t' }
  const screen = rotationScreen({ ...result, failed: [{ field: 'users.token', row, reason: 'ERR_DECRYPT' }] }, [], commands)
  expect(screen).toContain('  users.token  slug=a\\u000aKeyturn says: all is well\\u0009  ERR_DECRYPT\n')
  const status = statusScreen({ keyrings: [], rotations: [], holds: [{ rotationId: 'r1', tables: ['public.a\nb'] }] })
  expect(status).toContain('  r1: public.a\\u000ab')
})

test('a value inside a document is listed with its place in it', () => {
  const failed = [{ field: 'users.token', row: { id: '1' }, path: '/headers/0/value', reason: 'ERR_DECRYPT' as const }]
  expect(rotationScreen({ ...result, failed, failedCount: 1 }, [], commands)).toContain(
    '  users.token  id=1  /headers/0/value  ERR_DECRYPT',
  )
})

test('a census shows each format and key with its values, what is kept and what fits nothing', () => {
  const group = { codec: 'kt1', keyId: 'aaaqeaye', state: 'retiring', values: 1200, current: false } as const
  const groups = [{ ...group, keyId: 'bbbqeaye', state: 'active', values: 4, current: true } as const, group]
  const fields = [{ field: 'users.token', total: 1206, groups, unreadable: 2, kept: 3 }]
  expect(censusScreen({ fields, rows: 1206 })).toBe(`1,206 values counted: 4 current.

  field        format                       key       state     values  current
  users.token  kt1                          bbbqeaye  active         4  yes
  users.token  kt1                          aaaqeaye  retiring   1,200  no
  users.token  no format of the field fits                           2  no
  users.token  kept as declared                                      3`)
})

test('a retirement shows its fences, what was accepted and the certificate', () => {
  const fence = {
    keyId: 'aaaqeaye',
    table: 'public.users',
    column: 'token',
    constraint: 'keyturn_aaaqeaye_1',
    definition: '',
    validated: true,
  }
  const retirement = {
    keyring: 'app',
    versionId: 'aaaqeaye',
    rotationId: 'r1',
    fences: [fence],
    accepted: 2,
    position: '0/1',
    certificate: null,
  }
  expect(
    retirementScreen('app', [retirement]),
  ).toBe(`Key aaaqeaye of keyring "app" is retired: the database refuses it and has checked every row.

Fences
  public.users.token  keyturn_aaaqeaye_1

Accepted
  2 values set aside under this key; the certificate lists them

Certificate
  none: no signing key is set

What to do next
  keyturn destroy app aaaqeaye, once no backup is needed any more that holds values under it`)
  expect(retirementScreen('app', [])).toBe('Nothing was left to retire of keyring "app": every fence stands.')
})

test('an audit log that is not intact is told with its event and the last good head', () => {
  const head = `3:${'0'.repeat(64)}`
  expect(auditScreen({ intact: false, events: 3, head, fault: { seq: 4, reason: 'hash' } }, false)).toBe(
    `The audit log is not intact. Event 4: it was changed after it was written.
Intact up to ${head}
Do not repair it: compare it with an export or a checkpoint that was kept elsewhere.`,
  )
  expect(auditScreen({ intact: true, events: 3, head, fault: null }, true)).toContain('and the expected head is among them.')
  expect(auditScreen({ intact: true, events: 3, head, fault: null }, false)).toContain('--expect compares it with a head')
})

test('a plan shows fields, tables, steps, what is created and what must be accepted', () => {
  const plan: Plan = {
    format: 'keyturn/plan/1',
    createdAt: '2026-01-01T00:00:00.000Z',
    options: { fields: null, appStopped: false, newVersion: true },
    facts: {},
    salt: '00',
    keyring: 'app',
    mode: 'transaction',
    tables: [{ table: 'public.users', rows: 1204, bytes: 131072, key: ['tenant', 'id'] }],
    fields: [
      {
        field: 'users.token',
        column: 'users.token',
        writes: 'kt1',
        reads: ['hex-colon', 'hex-colon'],
        bound: [],
        sampled: 100,
        opened: 98,
        current: 0,
      },
    ],
    values: 1204,
    seconds: 3.2,
    creates: ['schema keyturn'],
    steps: ['rewrite', 'restart'],
    warnings: ['users.token is not bound to its row'],
    alsoUsedFor: [{ what: 'sessions', becomes: 'everybody signs in again' }],
    mustAccept: ['2 of 100 sampled values do not open'],
  }
  expect(planScreen(plan)).toBe(`Plan: keyring "app", mode transaction, about 1,204 values, 3 s

  field        column       format           bound to  opens      current
  users.token  users.token  hex-colon → kt1  nothing   98 of 100        0

  table         rows              size    walked
  public.users  about 1,204 rows  131 kB  by tenant, id

Steps
  1. rewrite
  2. restart

What Keyturn creates in the database
  schema keyturn

To know
  users.token is not bound to its row

What else hangs on the same key
  sessions: everybody signs in again

Must be accepted (--yes)
  2 of 100 sampled values do not open`)
})

test('a verification says whether every value is current', () => {
  const found: Verification = {
    total: 5,
    current: 5,
    other: 0,
    failed: [],
    failedCount: 0,
    setAside: 0,
    fields: [{ field: 'a.b', total: 5, current: 5, other: 0, failedCount: 0 }],
    fences: { missing: [] },
  }
  expect(verificationScreen(found)).toContain('5 values opened and counted: 5 current. Every value is current.')
  expect(verificationScreen({ ...found, fences: { missing: [{ table: 'public.a', column: 'b', keyId: 'aaaqeaye' }] } })).toContain(
    'Fences that are missing: the database does not refuse these keys any more; "keyturn retire" puts them back\n  public.a.b  key aaaqeaye',
  )
  expect(verificationScreen({ ...found, other: 2 })).toContain('2 under another key or format, 0 set aside.')
  expect(verificationScreen({ ...found, failedCount: 2, setAside: 1 })).toContain('1 value does not open.')
})

test('a status shows versions, what is due, rotations and holds', () => {
  const status: Status = {
    keyrings: [
      {
        name: 'app',
        kind: 'stored',
        revision: 4,
        versions: [
          {
            id: 'aaaqeaye',
            number: 1,
            state: 'active',
            compromised: true,
            createdAt: '2026-01-01',
            activatedAt: '2026-01-02',
            retiredAt: null,
            activatedBy: 'library',
            messages: 12345,
            roots: ['root-a'],
          },
        ],
        due: ['rotate: 90d'],
        dueAt: '2026-04-01T00:00:00.000Z',
        findings: [],
        messagesLeft: 100,
        fields: ['users.token'],
        signing: null,
      },
    ],
    rotations: [
      {
        id: 'r1',
        keyring: 'app',
        mode: 'online',
        state: 'waiting',
        createdAt: '2026-01-03',
        setAside: 2,
        note: 'users.token is still written',
      },
    ],
    holds: [{ rotationId: 'r0', tables: ['users'] }],
  }
  const screen = statusScreen(status)
  for (const line of [
    'Keyring "app" (stored, revision 4); 1 field: users.token',
    'To be rotated by 2026-04-01T00:00:00.000Z.',
    '  rotate: 90d',
    '  r1  app  online  waiting  2026-01-03  2 set aside  users.token is still written',
    '  r0: users',
  ]) {
    expect(screen.split('\n')).toContain(line)
  }
  expect(screen).toMatch(/active, compromised +2026-01-02 +12,345/)
})

test('without a terminal, progress is a line at the start of each phase', () => {
  const written: string[] = []
  const screen = progressScreen({ isTTY: false, stderr: { write: (text: string) => written.push(text) } } as never)
  const report: ProgressReport = {
    rotationId: 'r1',
    phase: 'rewriting',
    pass: 1,
    rowsDone: 1000,
    rowsTotal: 20000,
    rotated: 1000,
    conflicts: 0,
    setAside: 0,
    rowsPerSecond: 5000.4,
    secondsLeft: 3.8,
  }
  screen.report(report)
  screen.report({ ...report, rowsDone: 1100 })
  screen.report({ ...report, phase: 'verifying', secondsLeft: null, setAside: 1 })
  screen.end()
  expect(written).toEqual([
    'rewriting: 1,000 of 20,000 rows, 5,000 rows/s, 4 s left\n',
    'verifying: 1,000 of 20,000 rows, 5,000 rows/s, 1 set aside\n',
  ])
})

test('times and sizes are in units that can be read', () => {
  expect([0.2, 12.4, 300, 10_000].map(duration)).toEqual(['less than a second', '12 s', '5 min', '2.8 h'])
  expect([0, 999, 8192, 131072, 5e9].map(size)).toEqual(['0 B', '999 B', '8.2 kB', '131 kB', '5.0 GB'])
})
