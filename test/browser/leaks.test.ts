import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { leak } from '../../packages/server/src/wire/leak.ts'
import { builtConsole } from './build.ts'
import { chromiumPath, launch } from './chromium.ts'
import { makeLeaks } from './fixture/leaks.ts'
import { world } from './fixture/routes.ts'
import { type Fixture, startFixture } from './fixture/server.ts'
import { patiently, type Visit, violations, visit } from './visit.ts'

const script = '<img src=x onerror=alert(1)>'

test('What the page of leaks is shown here has the shape that the server answers with.', () => {
  for (const each of Object.values(makeLeaks())) expect(leak.strict().parse(each)).toEqual(each)
})

describe.skipIf(chromiumPath === null)('the page of leaks', () => {
  let browser: Browser
  let fixture: Fixture
  let here: Visit

  beforeAll(async () => {
    builtConsole()
    ;[browser, fixture] = await Promise.all([launch(), startFixture()])
    here = await visit(browser, fixture.url, { permissions: ['clipboard-read', 'clipboard-write'], timezoneId: 'America/New_York' })
  })
  afterEach(() => Object.assign(fixture.world, world()))
  afterAll(async () => {
    await browser?.close()
    await fixture?.stop()
  })
  const go = (path: string) => here.page.goto(fixture.url + path)
  // Not by its role: behind a question it is hidden from those who hear the page.
  const remedies = () => here.page.locator('ol.remedies > li')
  const exposed = () => here.page.getByRole('list', { name: 'Still exposed' }).getByRole('listitem')

  test('What leaked is chosen from the keys and secrets, by keyboard; the address can be shared, with its time in UTC.', async () => {
    const { page } = here
    await go('/secrets')
    await page.getByRole('link', { name: 'If something leaked…' }).press('Enter')
    const list = page.getByLabel('Key or secret')
    await expect.poll(() => list.locator('optgroup').count(), patiently).toBe(2)
    expect(await list.locator('option').allTextContents()).toEqual(
      expect.arrayContaining(['app, all keys', 'app, version 3, retiring (m2xw7cpe)', 'sessions-jwt, all keys', 'edge.aws']),
    )
    // A key that is destroyed opens nothing.
    expect((await list.locator('option').allTextContents()).join()).not.toContain('aaqmtdiy')
    const look = page.getByRole('button', { name: 'Look what it opens' })
    expect(await look.isDisabled()).toBe(true)
    await list.selectOption({ label: 'app.database' })
    expect(new URL(page.url()).search).toBe('')
    await look.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'A leak of app.database' }).waitFor()
    expect(new URL(page.url()).search).toBe('?secret=app.database')
    expect(await page.getByRole('link', { name: 'Secrets' }).first().getAttribute('aria-current')).toBe('page')
    const asked = page.waitForRequest((each) => each.url().includes('since='))
    await page.getByLabel('Known to others since').fill('2026-11-21T10:00')
    await look.click()
    expect(new URL((await asked).url()).searchParams.get('since')).toBe('2026-11-21T15:00:00.000Z')
    expect(await page.getByLabel('Known to others since').inputValue()).toBe('2026-11-21T10:00')
  })

  test('Keys and secrets lead to their leak.', async () => {
    const { page } = here
    await go('/keys/app')
    await page.getByRole('link', { name: 'If version 3 leaked…' }).click()
    await page.waitForURL('**/leaks?key=app%2Fm2xw7cpe')
    await page.getByText('ERR_NOT_FOUND').waitFor()
    expect(await page.getByLabel('Key or secret').inputValue()).toBe('key/app/m2xw7cpe')
    await go('/secrets/edge.aws')
    await page.getByRole('link', { name: 'If it leaked…' }).click()
    await page.waitForURL('**/leaks?secret=edge.aws')
  })

  test('What it opens stands by risk with its counts; what is exposed is asked again while somebody looks.', async () => {
    const { page } = here
    await go('/leaks?key=app')
    const rows = page.getByRole('table', { name: 'What it opens' }).getByRole('row')
    await expect.poll(() => rows.count(), patiently).toBe(5)
    expect(await rows.nth(1).textContent()).toMatch(/github\.token.*critical.*64,000/)
    expect(await rows.nth(4).textContent()).toMatch(/edge\.aws.*high/)
    await expect.poll(() => exposed().count(), patiently).toBe(5)
    Object.assign(fixture.world.leaks['key=app'] ?? {}, { exposed: [], mends: [] })
    await page.getByText('Nothing is exposed any more, as far as Keyturn can see.').first().waitFor()
    expect(await page.getByRole('main').getByRole('status').first().textContent()).toContain('Nothing is exposed any more')
  })

  test('A credential is rotated from here as one that leaked: by its name, in the one request; then the page asks again.', async () => {
    const { page } = here
    await go('/leaks?key=app')
    await page.getByRole('button', { name: 'Rotate edge.aws…' }).press('Enter')
    const rotate = page.getByRole('button', { name: 'Rotate it without a grace' })
    await rotate.waitFor()
    expect([await page.getByLabel('It may be known to others').isChecked(), await rotate.isDisabled()]).toEqual([true, true])
    expect(await violations(page)).toEqual([])
    await page.getByLabel('Type edge.aws').fill('edge.aws')
    await page.getByLabel('Your password').fill('once more')
    const asked = page.waitForRequest((each) => each.method() === 'POST' && each.url().endsWith('/v1/secrets/edge.aws/runs'))
    const of = fixture.world.leaks['key=app']
    of?.mends.pop()
    of?.exposed.pop()
    await rotate.click()
    expect((await asked).postDataJSON()).toEqual({ leaked: true, confirm: 'edge.aws', password: 'once more' })
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await expect.poll(() => Promise.all([remedies().count(), exposed().count()]), patiently).toEqual([4, 4])
    // The button that asked is gone with its remedy: the keyboard goes on in the page.
    await expect.poll(() => page.evaluate('document.activeElement.textContent'), patiently).toContain('keyturn retire app')
    expect(new URL(page.url()).pathname).toBe('/leaks')
  })

  test('A key is retired from here once another has taken its place, and the answer stays although its remedy is done.', async () => {
    const { page } = here
    await go('/leaks?key=app')
    await page.getByText('Version 4 is active: once another has taken its place.').waitFor()
    expect(await page.getByRole('button', { name: 'Retire version 4' }).count()).toBe(0)
    await page.getByRole('button', { name: 'Retire version 3 of app…' }).click()
    const of = fixture.world.leaks['key=app']
    of?.mends.splice(1, 1)
    await page.getByRole('button', { name: 'Retire version 3', exact: true }).click()
    await page.getByText('Version 3 is retired.').waitFor()
    await expect.poll(() => remedies().count(), patiently).toBe(4)
    expect(await page.getByText('Version 3 is retired.').isVisible()).toBe(true)
    await page.getByRole('button', { name: 'Done' }).click()
    await page.getByRole('link', { name: 'Watch the rotation of app' }).waitFor()
  })

  test('The grace of a leaked secret is ended from here, with the confirmations of its page, and nothing else of the run is offered.', async () => {
    const { page } = here
    await go('/leaks?secret=app.database')
    await page.getByRole('button', { name: 'Revoke the old one now…' }).click()
    expect(await page.getByRole('button', { name: 'Take it back…' }).count()).toBe(0)
    await page.getByLabel('Type app.database').fill('app.database')
    await page.getByLabel('Your password').fill('once more')
    await page.getByRole('button', { name: 'Revoke the old one', exact: true }).click()
    await expect.poll(() => fixture.world.given, patiently).toEqual([{ confirm: 'app.database', password: 'once more' }])
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Look at the rotation of app.database' }).click()
    await page.waitForURL('**/secrets/app.database?run=run_01')
  })

  test('A command is copied as it stands.', async () => {
    const { page } = here
    await go('/leaks?key=app')
    await page.getByRole('button', { name: 'Copy keyturn secrets rotate edge.aws --leaked' }).click()
    await page.getByText('Copied.').waitFor()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe('keyturn secrets rotate edge.aws --leaked')
  })

  test('A viewer sees what is exposed and the commands, and is offered nothing that changes something.', async () => {
    const { page } = here
    fixture.world.role = 'viewer'
    for (const path of ['/leaks?key=app', '/leaks?secret=app.database']) {
      await go(path)
      await page.getByText('To begin what mends it takes the role operator. Yours is viewer.').waitFor()
      await expect.poll(() => page.locator('.skeleton').count(), patiently).toBe(0)
      expect(await page.getByRole('button', { name: /Rotate|Retire|Revoke|Try|Count/ }).count()).toBe(0)
      expect(await page.locator('code.command').allTextContents()).toContain('keyturn secrets revoke run_01 --yes')
      expect(await violations(page)).toEqual([])
    }
  })

  test('Names, owners and notes that are scripts are shown, also those that a link carries; nothing is run and nobody else is asked.', async () => {
    const { page } = here
    const of = makeLeaks()['key=app']
    if (of === undefined) throw new Error('there is no such leak')
    const told = { ...of, exposed: [`${script}: run ${script}`], unknown: [script] }
    fixture.world.leaks['key=app'] = {
      ...told,
      opens: [
        {
          what: 'secret',
          name: script,
          risk: 'low',
          owner: script,
          values: null,
          sentence: `${script}; in use since 2026-09-09T10:00:00Z`,
        },
      ],
      mends: [{ command: `keyturn ${script} --yes`, why: script, act: { kind: 'rotate-secret', secret: script } }],
    }
    await go('/leaks?key=app')
    await page.getByRole('button', { name: `Rotate ${script}…` }).waitFor()
    await page.getByRole('button', { name: `Copy keyturn ${script} --yes` }).waitFor()
    await go(`/leaks?secret=${encodeURIComponent(`${script}" onfocus=alert(1) x="`)}&since=javascript:alert(1)`)
    await page.getByText('ERR_NOT_FOUND').waitFor()
    await page.getByRole('heading', { level: 1, name: `A leak of ${script}` }).waitFor()
    // What is no name, or two of them, is asked of nobody.
    for (const query of ['?key=app&secret=edge.aws', '?key=%7B%22a%22%3A1%7D', '?key[]=1', '?since=2026']) {
      await go(`/leaks${query}`)
      await page.getByLabel('Key or secret').waitFor()
    }
    expect(await page.getByRole('heading', { level: 1, name: 'A leak', exact: true }).count()).toBe(1)
    expect(await page.locator('img').count()).toBe(0)
    expect(here.faults).toEqual([])
  })
})
