import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { builtConsole } from './build.ts'
import { chromiumPath, launch } from './chromium.ts'
import { world } from './fixture/routes.ts'
import { type Fixture, startFixture } from './fixture/server.ts'
import { patiently, type Visit, visit } from './visit.ts'

const running = '/rotations/01K9XQ4ZJ7'

describe.skipIf(chromiumPath === null)('what the console does', () => {
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

  test('A rotation is followed through a restart of the server: what was seen last stays, then it goes on.', async () => {
    const { page } = here
    await page.goto(fixture.url + running)
    await page.getByText('Live', { exact: true }).waitFor()
    const port = Number(new URL(fixture.url).port)
    const kept = fixture.world
    await fixture.stop()
    await page.getByText('Reconnecting…').waitFor()
    expect(await page.getByText('48,211').isVisible()).toBe(true)
    fixture = await startFixture({ port, from: kept })
    Object.assign(kept.rotations[0] ?? {}, { rotated: 99_000 })
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByText('99,000').waitFor()
  })

  test('Screen readers are told of each tenth of the way, and of the end.', async () => {
    const { page } = here
    const [rotation] = fixture.world.rotations
    await page.goto(fixture.url + running)
    const told = page.locator('[aria-live=polite]')
    await expect.poll(() => told.textContent(), patiently).toContain('40 percent')
    Object.assign(rotation ?? {}, { rowsDone: 40_000 })
    await page.getByText('40,000').first().waitFor()
    expect(await told.textContent()).toContain('40 percent')
    Object.assign(rotation ?? {}, { state: 'completed', endedAt: new Date().toISOString(), hasCertificate: true, phase: null })
    await expect.poll(() => told.textContent(), patiently).toContain('Completed')
    await page.getByText('Signed').first().waitFor()
  })

  test.each([
    ['viewer', '/keys/billing', 'Rotate…', 'To rotate takes the role operator. Yours is viewer.'],
    ['viewer', running, 'Pause', 'To pause, resume or cancel it takes the role operator. Yours is viewer.'],
    ['viewer', '/audit', 'Check every event', 'To check the chain or export the events takes the role operator.'],
    ['operator', '/keys/app', 'Destroy version 2…', 'To destroy a key takes the role admin. Yours is operator.'],
    ['operator', '/settings?tab=tokens', 'Make the token', 'Tokens are kept by administrators.'],
  ] as const)('A %s on %s is not offered "%s", and is told why.', async (role, path, button, why) => {
    const { page } = here
    fixture.world.rotations.splice(1, 1)
    await page.goto(fixture.url + path)
    await page.getByRole('heading', { level: 2 }).first().waitFor()
    await expect.poll(() => page.getByRole('button', { name: button }).count(), patiently).toBe(1)
    fixture.world.role = role
    await page.reload()
    await page.getByText(why).waitFor()
    expect(await page.getByRole('button', { name: button }).count()).toBe(0)
  })

  test('A key is destroyed only when the name of its keyring was typed.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/keys/app`)
    await page.getByRole('button', { name: 'Destroy version 2…' }).click()
    const destroy = page.getByRole('button', { name: 'Destroy version 2', exact: true })
    expect(await destroy.isDisabled()).toBe(true)
    await page.getByLabel('Type app').fill('ap')
    expect(await destroy.isDisabled()).toBe(true)
    await page.getByLabel('Type app').fill('app')
    expect(await destroy.isDisabled()).toBe(false)
  })

  test('What does not open must be accepted before a rotation begins; a transaction asks for the name.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/keys/connectors`)
    await page.getByRole('button', { name: 'Rotate…' }).click()
    const go = page.getByRole('button', { name: /^Rotate about/ })
    await go.waitFor()
    expect(await go.isDisabled()).toBe(true)
    await page.getByLabel('Go on: what does not open').check()
    expect(await go.isDisabled()).toBe(false)
    await page.getByLabel('Mode').selectOption('transaction')
    await page.getByLabel('Type connectors').waitFor()
    expect(await go.isDisabled()).toBe(true)
    await page.getByLabel('Type connectors').fill('connectors')
    await go.click()
    await page.waitForURL(`**${running}`)
  })

  test('A wrong password says nothing of which was wrong; the right one leads to the page that was asked for.', async () => {
    const { page } = here
    fixture.world.in = false
    await page.goto(`${fixture.url}/fields`)
    await page.getByLabel('Name').fill('ada')
    await page.getByLabel('Password').fill('wrong')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByText('The name or the password is wrong').waitFor()
    await page.getByLabel('Password').fill('correct horse battery staple')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { level: 1, name: 'Fields' }).waitFor()
  })

  test('A session that ends elsewhere leads to the log-in.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/keys`)
    await page.getByRole('table').waitFor()
    fixture.world.in = false
    await page.getByRole('link', { name: 'Rotations' }).click()
    await page.getByRole('heading', { level: 1, name: 'Log in' }).waitFor()
  })

  test('The token of the set-up link does not stay in the address.', async () => {
    const { page } = here
    Object.assign(fixture.world, { in: false, setup: true })
    await page.goto(`${fixture.url}/setup#one-time`)
    await page.getByRole('button', { name: 'Make the first administrator' }).waitFor()
    expect(page.url()).toBe(`${fixture.url}/setup`)
  })

  test('The filter of the audit log stands in the address, and an empty answer says how to go on.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/audit?actor=token:ci`)
    await expect.poll(() => page.getByRole('row').count(), patiently).toBe(2)
    await page.getByLabel('Who').fill('user:nobody')
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.getByRole('button', { name: 'Show all events' }).click()
    await expect.poll(() => page.getByRole('row').count(), patiently).toBeGreaterThan(5)
  })

  test('A label that is a script is shown, and does nothing.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/settings?tab=users`)
    await page.getByText('<img src=x onerror=alert(1)>').first().waitFor()
    expect(await page.locator('img').count()).toBe(0)
    expect(here.faults).toEqual([])
  })
})
