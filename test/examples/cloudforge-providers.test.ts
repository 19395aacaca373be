import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run, Secrets } from '@keyturn/secrets'
import { expect } from 'vitest'
import { development } from '../../examples/cloudforge/development.ts'
import { root, startChild } from '../harness/child.ts'
import { ask } from './asking.ts'
import { startEverywhere } from './cloudforge/everywhere.ts'
import { test, useCloudForge } from './cloudforge/world.ts'

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

  const runbook = 'https://handbook.cloudforge.example/secrets/authentication'
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
  expect(JSON.stringify(pagerDuty.alerts.at(-1))).toContain('https://handbook.cloudforge.example/secrets/leak')

  const told = JSON.stringify([pagerDuty.alerts, slack.messages])
  for (const value of Object.values({ ...before, ...forge.variables() })) expect(told).not.toContain(value)
})

test('C7 One secret stands in 1Password, a file and four clouds, and changes in all of them or in none', async () => {
  const everywhere = await startEverywhere(forge.providers, join(forge.folder, '.env.everywhere'))
  try {
    const { held } = forge.providers
    const secrets = await forge.start({
      env: everywhere.env,
      change: ({ openai }) => {
        const [vault] = openai!.stores!
        return { openai: { ...openai!, stores: [vault!, ...everywhere.stores], targets: [], gates: [] } }
      },
    })
    await forge.rotate(secrets, 'openai')
    const value = held('openai', 'credential')
    expect(value).toMatch(/^sk-/)
    expect(await everywhere.read()).toEqual(Array(5).fill(value))

    // The last one does not take it: those before it go back.
    const { id } = await secrets.rotate('openai')
    everywhere.cluster.faults.next('secrets.patch', { status: 403 })
    const run = await forge.finish(secrets, id)
    expect(run.state).toBe('rolled-back')
    expect([held('openai', 'credential'), ...(await everywhere.read())]).toEqual(Array(6).fill(value))
    // The machines of Fly were left out.
    expect(await forge.command(['secrets', 'sync', 'openai', '--apply'])).toMatchObject({ code: 0 })
    expect(forge.variables().OPENAI_API_KEY).toBe(value)
  } finally {
    await everywhere.close()
  }
})

test('C10 A developer gets a new key: .env has it and keeps its mode and comments, and the development server has started again', async () => {
  const { openai, onePassword, held } = forge.providers
  const folder = join(forge.folder, 'desk')
  await mkdir(folder)
  const first = openai.makeUserKey('developer').value
  const variables = { ...forge.variables(), ...forge.settings(), OPENAI_API_KEY: first, OPENAI_BASE_URL: openai.url }
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  const text = ['# CloudForge on this machine', '', ...lines, '  # the end'].join('\n')
  await writeFile(join(folder, '.env'), text, { mode: 0o600 })
  const server = startChild('examples/cloudforge/src/scripts/dev.ts', [], { cwd: folder, node: [], env: { PORT: '0' } })
  try {
    await server.printed('serving on ')
    const url = /serving on (\S+)/.exec(server.stdout)?.[1] ?? ''
    const restart = [process.execPath, join(root, 'examples/cloudforge/src/scripts/restart.ts')]
    const desk = { folder, url, restart, connect: onePassword.origin, openai: { project: openai.project, endpoint: openai.url } }
    const rotate = ['secrets', 'rotate', 'openai-development']
    expect(await forge.command(rotate, { change: () => development(desk), env: { OPENAI_API_KEY: first } })).toMatchObject({ code: 0 })

    const next = held('openai-development', 'credential') ?? ''
    expect(await readFile(join(folder, '.env'), 'utf8')).toBe(text.replace(first, next))
    expect((await stat(join(folder, '.env'))).mode & 0o777).toBe(0o600)
    // Its lines come through another process, later than what it answers.
    await expect.poll(() => server.stdout.match(/"event":"listening"/g), { timeout: 60_000 }).toHaveLength(2)
    expect((await ask(url, 'GET', '/health')).body.components).toMatchObject({ ai_provider: 'ok' })
    expect((await fetch(`${openai.url}/models`, { headers: { authorization: `Bearer ${first}` } })).status).toBe(401)

    // Somebody else's rotation, or a new value by hand, in the source of truth: the file follows it, and the server starts again.
    const shared = openai.makeUserKey('shared').value
    forge.providers.edit('openai-development', 'credential', shared)
    const sync = (...more: string[]) => forge.command(['secrets', 'sync', ...more], { change: () => development(desk) })
    expect((await sync()).code).toBe(3)
    expect(await sync('--apply')).toMatchObject({ code: 0 })
    expect(await readFile(join(folder, '.env'), 'utf8')).toBe(text.replace(first, shared))
    await expect.poll(() => server.stdout.match(/"event":"listening"/g), { timeout: 60_000 }).toHaveLength(3)
    expect((await ask(url, 'GET', '/health')).body.components).toMatchObject({ ai_provider: 'ok' })
  } finally {
    await server.kill('SIGTERM')
  }
})

test('C12 One command brings the machines in line with 1Password, by groups: shown by digest, tried, and only when told', async () => {
  const { edit, held, feed } = forge.providers
  const sync = (group: string, ...more: string[]) => forge.command(['secrets', 'sync', '--group', group, '--json', ...more])
  const driftIn = (stdout: string) =>
    (JSON.parse(stdout).drift as readonly { readonly state: string }[]).filter(({ state }) => state !== 'same')
  const digest = expect.stringMatching(/^[0-9a-f]{8}$/)
  // Keyturn takes over what people have written there until now. The machines have it already: nothing is deployed.
  expect(await sync('postgres', '--apply')).toMatchObject({ code: 0 })
  const updates = forge.updates()
  for (const group of ['integrations', 'threat-intelligence']) expect(await sync(group, '--apply')).toMatchObject({ code: 0 })
  expect(forge.updates()).toBe(updates)
  expect(await forge.command(['secrets', 'sync', '--group', 'threat'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('threat-intelligence'),
  })

  // Another year was bought, and somebody has written something into the secrets of Fly.
  const [before, next] = [forge.variables(), feed.buy()]
  edit('threat-feed', 'credential', next)
  await forge.setVariables({ OPENAI_API_KEY: 'sk-proj-of-somebody' })
  const drifted = forge.variables()
  const looked = await sync('threat-intelligence')
  expect(looked.code).toBe(3)
  expect(driftIn(looked.stdout)).toEqual([
    { secret: 'threat-feed', store: 'one-password', name: 'credential', state: 'new', found: digest, expected: digest },
    { secret: 'threat-feed', store: 'fly', name: 'THREAT_FEED_KEY', state: 'differs', found: digest, expected: digest },
  ])
  for (const value of [next, ...Object.values(before)]) expect(looked.stdout).not.toContain(value)
  expect(forge.variables()).toEqual(drifted)

  // Of the other group nothing is touched, and nobody rotates what others make.
  expect(await sync('threat-intelligence', '--apply')).toMatchObject({ code: 0 })
  expect(forge.variables()).toEqual({ ...drifted, THREAT_FEED_KEY: next })
  feed.end(before.THREAT_FEED_KEY ?? '')
  expect(await health()).toMatchObject({ threat_intelligence: 'ok' })
  expect(await forge.command(['secrets', 'rotate', 'threat-feed'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('others make'),
  })

  // What does not work is not deployed; what is blank wipes nothing; and where one of the group cannot be done, none is begun.
  const refusedWith = async (sentence: string) => {
    const { code, stderr } = await sync('integrations', '--apply')
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(sentence) })
    expect(forge.variables()).toEqual({ ...drifted, THREAT_FEED_KEY: next })
  }
  const anthropic = held('anthropic', 'credential') ?? ''
  edit('anthropic', 'credential', '')
  await refusedWith('nothing stands under "credential"')
  edit('anthropic', 'credential', 'sk-ant-of-nobody')
  await refusedWith('secrets.anthropic.stores[0].truth')
  edit('anthropic', 'credential', anthropic)
  await forge.providers.retitle('anthropic', 'anthropic, the old one')
  await refusedWith('there is no item')
  await forge.providers.retitle('anthropic', 'anthropic')

  expect(await sync('integrations', '--apply')).toMatchObject({ code: 0 })
  expect(forge.variables()).toEqual({ ...before, THREAT_FEED_KEY: next })
  expect(await health()).toMatchObject({ ai_provider: 'ok' })
})
