import type { Run } from '@keyturn/secrets'
import { expect, test } from 'vitest'
import { runData, secretRunScreen, stepsTable } from './secret-run.ts'

const call = {
  verb: { name: 'secrets rotate', arguments: ['NAME'] },
  args: ['db'],
  options: { database: 'env:DB' },
} as unknown as Parameters<typeof secretRunScreen>[0]
const run: Run = {
  ...{ id: 'run_1', secret: 'db', rotator: 'random', state: 'completed', direction: 'forward', steps: ['task', 'grace'], position: 2 },
  ...{ attempt: 'a', facts: {}, oldValue: 'v1', newValue: 'v2', note: null, startedBy: 'me' },
  ...{ createdAt: 0, endedAt: 1000, wakeAt: null, sweepAt: null, epoch: 1 },
}
const screen = (changed: Partial<Run>, remains = false) => secretRunScreen(call, { ...run, ...changed }, { remains, revokes: true })
const task = {
  title: 'Make a key',
  instructions: '1. Click.\n2. Copy.',
  url: 'https://x.example',
  paste: [{ part: 'value', label: 'the key' }],
  until: 0,
}

test('a run that is over says in what.', () => {
  expect(screen({})).toBe('Secret "db" is rotated (run run_1): the new credential is in use, the old one is refused.')
  expect(screen({}, true)).toContain('in use.\nThe credential from before was not known to Keyturn and was not ended')
  expect(screen({ state: 'rolled-back', note: 'verify failed' })).toBe(
    'Secret "db" is back at the credential from before (run run_1): verify failed.',
  )
  expect(screen({ state: 'cancelled' })).toBe('Secret "db" was not rotated: run run_1 is cancelled.')
})

test('a run that waits says for what, who goes on with it, and the commands for the same database.', () => {
  expect(
    screen({ state: 'waiting', position: 1, note: 'both credentials work until noon' }),
  ).toBe(`Secret "db" has its new credential in use, and verified (run run_1).
Both credentials work until noon.
It goes on by "keyturn serve" where that runs, by "keyturn secrets attend" from cron, or by
  keyturn secrets resume run_1 --database env:DB
The old one is ended at once by
  keyturn secrets revoke run_1 --database env:DB
and taken back by
  keyturn secrets rollback run_1 --database env:DB`)
  expect(
    screen({ state: 'waiting', position: 0, note: 'waits for a person: Make a key', facts: { task } }),
  ).toBe(`Secret "db" waits for a person (run run_1).

Make a key
https://x.example

1. Click.
2. Copy.

Then give the key on standard input of
  keyturn secrets provide run_1 --database env:DB`)
  expect(screen({ state: 'waiting', position: 0, note: 'nobody answers' })).toContain('which is not over: it is at task: nobody answers.')
})

test('a run that is paused says why, and what it asks.', () => {
  const paused = screen({ state: 'paused', position: 0, note: 'two keys may be ours', facts: { asks: { ids: ['k1', 'k2'] } } })
  expect(paused).toMatch(
    /paused: two keys may be ours\.\nIt asks which of these are of this run: k1, k2[\s\S]*resume run_1[\s\S]*rollback run_1/,
  )
})

test('what programs get of a run has no ids of values, and what a step saw stands in one line.', () => {
  expect(JSON.stringify(runData(run))).not.toMatch(/v1|v2|attempt/)
  const step = {
    number: 1,
    step: 'verify',
    state: 'failed',
    tries: 2,
    begunAt: 0,
    endedAt: 0,
    evidence: { id: 'k\n1' },
    problem: 'no',
  } as const
  expect(stepsTable([step])).toContain('id: k\\u000a1; no')
})
