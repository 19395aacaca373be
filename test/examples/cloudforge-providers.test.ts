import type { Run, Secrets } from '@keyturn/secrets'
import { expect, test } from 'vitest'
import { ask } from './asking.ts'
import { useCloudForge } from './cloudforge/world.ts'

const forge = useCloudForge()

const health = async () => (await ask(forge.url, 'GET', '/health')).body.components

/** Begins a rotation that asks for a person; the value is made as the task says, and given on standard input. */
async function rotateByHand(name: string, make: (named: string) => string) {
  const begun = await forge.command(['secrets', 'rotate', name, '--wait', '1s', '--json'])
  expect(begun).toMatchObject({ code: 4 })
  const secrets = await forge.start()
  const { run } = await secrets.status(name)
  const { task } = (await secrets.run(run!.id)).run.facts
  const [named = ''] = /keyturn-[0-9a-f-]{36}/.exec(task!.instructions) ?? []
  const value = make(named)
  // A line break at its end is taken off; one inside is refused.
  expect((await forge.command(['secrets', 'provide', name], { stdin: `${value.slice(0, 20)}\n${value.slice(20)}` })).code).toBe(2)
  const provided = await forge.command(['secrets', 'provide', name, '--json'], { stdin: `${value}\n` })
  expect(provided).toMatchObject({ code: 0 })
  for (const { stdout, stderr } of [begun, provided]) expect(stdout + stderr).not.toContain(value)
  return { task: task!, value, run: run!.id, secrets }
}

const sentencesOf = async (secrets: Secrets, runId: string, step: string): Promise<unknown[]> => {
  const found = (await secrets.run(runId)).steps.find((each) => each.step === step)
  return Object.values(found?.evidence ?? {})
}

test('C5 A key of Anthropic is made by a person and one of OpenAI by itself; both are stored, tried and their predecessors ended', async () => {
  const { anthropic, openai, held } = forge.providers
  const [first] = anthropic.live()
  const made = await rotateByHand('anthropic', (named) => anthropic.makeKey(named).value)
  expect(made.task).toMatchObject({ url: expect.stringMatching(/^https:/), paste: [{ part: 'value' }] })
  expect([forge.variables().ANTHROPIC_API_KEY, held('anthropic', 'credential')]).toEqual([made.value, made.value])
  expect(await sentencesOf(made.secrets, made.run, 'gates:promote')).toContainEqual(
    expect.stringContaining('"ok" at .components.ai_provider'),
  )
  expect(anthropic.statusOf(first!)).toBe('archived')

  const before = openai.live()
  const { code } = await forge.command(['secrets', 'rotate', 'openai'])
  expect(code).toBe(0)
  expect(openai.live()).toHaveLength(1)
  expect(openai.live()).not.toEqual(before)
  expect(held('openai', 'credential')).toBe(forge.variables().OPENAI_API_KEY)
  expect(await health()).toMatchObject({ ai_provider: 'ok' })
})

test('C6 A token of Okta is made by a person and a client secret of Entra by itself, which a protected API has taken before the old one ends', async () => {
  const { okta, entra, held } = forge.providers
  const made = await rotateByHand('okta', (named) => okta.makeToken(named).value)
  expect([forge.variables().OKTA_API_TOKEN, held('okta', 'credential')]).toEqual([made.value, made.value])
  expect(await sentencesOf(made.secrets, made.run, 'verify')).toEqual(['Okta said whose token it is'])
  // That of the administrator and the new one.
  expect(okta.tokens()).toHaveLength(2)

  const [old] = entra.live()
  const steps = await forge.rotate(made.secrets, 'entra')
  expect(steps.get('verify')).toEqual({ verdict: 'a token was issued 3 times in a row, and the API took it' })
  expect(entra.live()).toHaveLength(1)
  expect(entra.live()).not.toContain(old)
  expect(held('entra', 'credential')).toBe(forge.variables().ENTRA_CLIENT_SECRET)
  expect(await health()).toMatchObject({ identity_provider: 'ok' })
})

test('C9 Refused log-ins take a rotation back to the secret from before; who is to know hears of it, and hears when it is over', async () => {
  const { gateway, pagerDuty, slack, openai } = forge.providers
  const secrets = await forge.start()
  const before = forge.variables()
  const heard = () => slack.messages.slice(earlier)
  const earlier = slack.messages.length
  // The company's gateway lets through the keys that it knows.
  gateway.refuses = (authorization) => authorization.startsWith('Bearer sk-') && authorization !== `Bearer ${before.OPENAI_API_KEY}`
  const failed = await forge.finish(secrets, (await secrets.rotate('openai')).id)
  expect(failed).toMatchObject({ state: 'rolled-back', note: expect.stringMatching(/^(log-errors|health): /) })
  expect(forge.variables()).toEqual(before)
  expect(forge.providers.held('openai', 'credential')).toBe(before.OPENAI_API_KEY)
  expect(openai.live()).toHaveLength(1)
  expect(await health()).toMatchObject({ ai_provider: 'ok' })

  const runbook = 'https://handbook.cloudforge.example/secrets#authentication'
  const alert = { dedupKey: 'keyturn/openai/authentication', triggers: 1, severity: 'error' }
  expect(pagerDuty.alerts).toMatchObject([{ ...alert, state: 'triggered' }])
  expect(JSON.stringify(pagerDuty.alerts)).toContain(runbook)
  expect(heard()).toHaveLength(1)
  expect(JSON.stringify(heard())).toContain(runbook)

  // It is mended, and done again.
  gateway.refuses = null
  await forge.rotate(secrets, 'openai')
  expect(pagerDuty.alerts).toMatchObject([{ ...alert, state: 'resolved' }])
  expect(heard()).toHaveLength(2)

  // Found in a git repository: it is changed at once, without a grace, and the incident is told with the address of its runbook.
  const leaked = await secrets.rotate('openai', { leaked: true })
  const waited: Run[] = []
  const done = await secrets.settle(leaked.id, { onProgress: (run) => waited.push(run) })
  expect(done.state).toBe('completed')
  expect(waited.map(({ note }) => note).join()).not.toContain('both credentials work')
  expect(pagerDuty.alerts.at(-1)).toMatchObject({ dedupKey: 'keyturn/openai/leak', severity: 'critical', state: 'resolved' })
  expect(JSON.stringify(pagerDuty.alerts.at(-1))).toContain('https://handbook.cloudforge.example/secrets#leak')

  const told = JSON.stringify([pagerDuty.alerts, slack.messages])
  for (const value of Object.values({ ...before, ...forge.variables() })) expect(told).not.toContain(value)
})
