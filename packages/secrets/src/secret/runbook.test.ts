import { expect, test } from 'vitest'
import type { SecretStatus } from './inventory.ts'
import { openSecret, worldOf } from './opened-secret.ts'
import { runbookOf } from './runbook.ts'

const parts = './test/secrets/parts'
const status: SecretStatus = {
  name: 'key',
  owner: 'platform | web',
  rotator: 'x',
  stores: ['memory'],
  targets: [],
  gates: [],
  revokes: true,
  every: '180d',
  automatic: false,
  risk: 'high',
  runbook: 'https://runbooks.example/key',
  credentialId: null,
  since: '2026-01-01T00:00:00.000Z',
  dueAt: '2026-06-30T00:00:00.000Z',
  overdue: true,
  beginsAt: null,
  run: { id: 'run_1', state: 'waiting', step: 'task', note: 'waits for a person' },
  troubles: ['task'],
}

test('a runbook has the inventory, who is told of what, what Keyturn does in which order, and what is left to people.', async () => {
  const secret = await openSecret(
    'key',
    {
      rotator: { rotator: `${parts}/asked-issuer.ts` },
      stores: [{ store: `${parts}/memory-store.ts`, id: 'runbook', values: { KEY: '{value}', OLD: '{previous.value}' } }],
      grace: '12h',
    },
    worldOf({}, () => 0),
  )
  const current = { id: null, parts: { value: 'key-marked' } }
  const alerts = [{ alert: 'slack' }, { alert: 'pagerduty', on: ['leak'] as const, runbooks: { leak: 'https://runbooks.example/leak' } }]
  const text = await runbookOf([{ secret, status, current }], { alerts, now: 0 })
  expect(text).toContain('| key | platform \\| web | high | memory | 180d | no | 2026-01-01 | **overdue** | waiting at task |\n')
  expect(text).toMatch(/\| leak \|.*\| slack, pagerduty \| https:\/\/runbooks\.example\/leak \|\n/)
  expect(text).toMatch(/\| task \|.*\| slack \| https:\/\/runbooks\.example\/key \|\n/)
  expect(text.match(/^\d+\. .*$/gm)?.slice(0, 12)).toEqual([
    '1. note what the gates see and what the issuer lists, before anything changes',
    '2. wait for what a person makes',
    '3. have the new credential made',
    '4. log in with the new credential, on a connection of its own',
    '5. write the new value to the stores',
    '6. wait, while both credentials work: 12h',
    '7. look whether anybody still uses the old credential',
    '8. take the old value out of the stores',
    '9. end the old credential; from here on there is no way back',
    '10. see that the old credential is refused',
    '11. look for credentials that were made and that nobody knows of',
    '1. Open the page.',
  ])
  expect(text).toContain('Until step 9 `keyturn secrets rollback RUN` takes it back')
  expect(text).toContain('**Make a key by hand.** https://issuer.example/keys\n\n1. Open the page.\n2. Choose **Create**.')
  expect(text).toContain('- Run `run_1`: waits for a person.')
  expect(text).not.toContain('key-marked')
  expect((await runbookOf([{ secret, status, current }], { alerts: [], now: 0 })).match(/\*\*nobody\*\*/g)).toHaveLength(7)
})
