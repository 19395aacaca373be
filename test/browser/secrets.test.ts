import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { run, secret, secretPlan as wirePlan } from '../../packages/server/src/wire/secret.ts'
import { builtConsole } from './build.ts'
import { chromiumPath, launch } from './chromium.ts'
import { world } from './fixture/routes.ts'
import { makeSecrets, secretPlan } from './fixture/secrets.ts'
import { type Fixture, startFixture } from './fixture/server.ts'
import { patiently, type Visit, violations, visit } from './visit.ts'

test('What the pages are shown here has the shape that the server answers with.', () => {
  const { secrets, runs } = makeSecrets()
  expect(secrets.map((each) => secret.strict().parse(each))).toEqual(secrets)
  expect(runs.map((each) => run.strict().parse(each))).toEqual(runs)
  expect(wirePlan.strict().parse(secretPlan)).toEqual(secretPlan)
})

describe.skipIf(chromiumPath === null)('the pages of secrets', () => {
  let browser: Browser
  let fixture: Fixture
  let here: Visit

  beforeAll(async () => {
    builtConsole()
    ;[browser, fixture] = await Promise.all([launch(), startFixture()])
    here = await visit(browser, fixture.url)
  })
  afterEach(() => Object.assign(fixture.world, world()))
  afterAll(async () => {
    await browser?.close()
    await fixture?.stop()
  })
  const go = (path: string) => here.page.goto(fixture.url + path)

  test('The overdue stand first, with who answers for them; one is reached by the keyboard.', async () => {
    const { page } = here
    await go('/secrets')
    const line = page.getByRole('list', { name: 'Secrets by when they are due' }).getByRole('link')
    await expect.poll(() => line.allTextContents(), patiently).toEqual(['app.database', 'support.anthropic', 'jobs.openai', 'edge.aws'])
    await line.first().focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'app.database' }).waitFor()
    expect(await page.getByRole('list', { name: 'The way of the credential' }).textContent()).toMatch(
      /postgres-roles.*DATABASE_URL.*fly.*logins/,
    )
  })

  test('A run is followed live, with the evidence of each step.', async () => {
    const { page } = here
    const [run] = fixture.world.runs
    await go('/secrets/app.database')
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByText('a new session as app_b read its own name').waitFor()
    const steps =
      run?.steps.map((step) => ({ ...step, state: 'done', endedAt: new Date().toISOString(), evidence: { proof: step.step } })) ?? []
    Object.assign(run ?? {}, { steps, state: 'completed', step: null, actions: [], endedAt: new Date().toISOString() })
    await page.getByText('The new credential is in use, and the old one is refused.').waitFor()
    expect(await page.getByRole('button', { name: 'Take it back…' }).count()).toBe(0)
  })

  test('What is pasted is shown in dots, sent once, and kept nowhere on the page.', async () => {
    const { page } = here
    const pasted = 'sk-ant-pasted-0123456789'
    await go('/secrets/support.anthropic')
    const field = page.getByLabel('API key')
    await field.fill(pasted)
    expect(await field.getAttribute('type')).toBe('password')
    await page.getByRole('button', { name: 'Give it' }).click()
    await expect.poll(() => fixture.world.given, patiently).toEqual([{ parts: { value: pasted } }])
    expect(await field.inputValue()).toBe('')
    expect(await page.content()).not.toContain(pasted)
    expect(await page.evaluate<string>('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href])')).not.toContain(pasted)
    // Instructions are text: what looks like HTML in them is shown.
    await page.getByText('<b>Do not end it.</b>').waitFor()
  })

  test('To revoke takes the name and the password; to take back takes the name. Neither question violates anything.', async () => {
    const { page } = here
    await go('/secrets/app.database')
    await page.getByRole('button', { name: 'Revoke the old one now…' }).click()
    const revoke = page.getByRole('button', { name: 'Revoke the old one', exact: true })
    expect(await revoke.isDisabled()).toBe(true)
    await page.getByLabel('Type app.database').fill('app.database')
    await page.getByLabel('Your password').fill('once more')
    expect(await violations(page)).toEqual([])
    await revoke.click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Take it back…' }).click()
    await page.getByLabel('Type app.database').fill('app.database')
    await page.getByRole('button', { name: 'Take it back', exact: true }).click()
    await expect
      .poll(() => fixture.world.given, patiently)
      .toEqual([{ confirm: 'app.database', password: 'once more' }, { confirm: 'app.database' }])
  })

  test('A rotation begins after its plan; of ids that nobody knows, somebody says whose they are.', async () => {
    const { page } = here
    await go('/secrets/edge.aws')
    await page.getByRole('button', { name: 'Rotate…' }).click()
    await page.getByText('aws: 2 calls at once, 60 a minute').waitFor()
    await page
      .getByText('The credential in use is not known', { exact: false })
      .or(page.getByText('secrets.edge.aws.first'))
      .first()
      .waitFor()
    expect(await violations(page)).toEqual([])
    await page.getByLabel('It may be known to others').check()
    expect(await page.getByRole('button', { name: 'Rotate it without a grace' }).isDisabled()).toBe(true)
    await page.getByLabel('It may be known to others').uncheck()
    await page.getByRole('button', { name: 'Rotate it', exact: true }).click()
    await page.waitForURL('**/secrets/edge.aws?run=run_01')
    await go('/secrets/jobs.openai')
    await page.getByLabel('key_8812').selectOption('remove')
    await page.getByRole('button', { name: 'Go on' }).click()
    await expect.poll(() => fixture.world.given, patiently).toEqual([{ remove: ['key_8812'], keep: [] }])
    expect(await violations(page)).toEqual([])
  })

  test('A leaked one is rotated by its name and the password, which are in the one request.', async () => {
    const { page } = here
    await go('/secrets/edge.aws')
    await page.getByRole('button', { name: 'Rotate…' }).click()
    await page.getByLabel('It may be known to others').check()
    await page.getByLabel('Type edge.aws').fill('edge.aws')
    await page.getByLabel('Your password').fill('once more')
    expect(await violations(page)).toEqual([])
    const asked = page.waitForRequest((each) => each.method() === 'POST' && each.url().endsWith('/v1/secrets/edge.aws/runs'))
    await page.getByRole('button', { name: 'Rotate it without a grace' }).click()
    expect((await asked).postDataJSON()).toEqual({ leaked: true, confirm: 'edge.aws', password: 'once more' })
    await page.waitForURL('**/secrets/edge.aws?run=run_01')
  })

  test('A viewer looks, and is told what it takes.', async () => {
    const { page } = here
    fixture.world.role = 'viewer'
    await go('/secrets/support.anthropic')
    await page.getByText('To give it takes the role operator.').waitFor()
    expect(await page.getByLabel('API key').count()).toBe(0)
    expect(await page.getByRole('button', { name: 'Cancel…' }).count()).toBe(0)
    expect(here.faults).toEqual([])
  })
})
