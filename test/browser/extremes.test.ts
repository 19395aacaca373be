import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtConsole } from './build.ts'
import { chromiumPath, launch } from './chromium.ts'
import { longName, makeExtreme } from './fixture/extremes.ts'
import { type Fixture, startFixture } from './fixture/server.ts'
import { patiently, sideways, type Visit, violations, visit } from './visit.ts'

describe.skipIf(chromiumPath === null)('the pages of secrets with names of 128 characters, 60 secrets and notes without a break', () => {
  let browser: Browser
  let fixture: Fixture
  let here: Visit

  beforeAll(async () => {
    builtConsole()
    ;[browser, fixture] = await Promise.all([launch(), startFixture()])
    makeExtreme(fixture.world)
    here = await visit(browser, fixture.url)
  })
  afterAll(async () => {
    await browser?.close()
    await fixture?.stop()
  })

  const pages = ['/secrets', `/secrets/${longName}`, '/secrets/support.anthropic', '/leaks?key=app'] as const

  test.each(pages)('%s: everything stands on the page, narrow and wide, as text.', async (path) => {
    const { page } = here
    await page.goto(fixture.url + path)
    await page.locator('main h2').first().waitFor()
    await expect.poll(() => page.locator('.skeleton').count(), patiently).toBe(0)
    for (const width of [1440, 640, 360]) {
      await page.setViewportSize({ width, height: 800 })
      expect([path, width, await sideways(page)]).toEqual([path, width, 0])
    }
    expect([...(await violations(page)), ...here.faults]).toEqual([])
    expect(await page.locator('img').count()).toBe(0)
    await page.setViewportSize({ width: 1280, height: 900 })
  })

  test('The overdue stand on the line first; the others are a press away, and the inventory has them all.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/secrets`)
    const line = page.getByRole('list', { name: 'Secrets by when they are due' }).getByRole('listitem')
    const all = fixture.world.secrets.filter(({ dueAt }) => dueAt !== null).length
    await expect.poll(() => line.count(), patiently).toBe(20)
    expect(await line.first().textContent()).toContain('overdue')
    await page.getByRole('button', { name: `Show all ${all}` }).press('Enter')
    await expect.poll(() => line.count(), patiently).toBe(all)
    // The button is gone: the keyboard goes on at the first that it has shown.
    expect(await page.evaluate('document.activeElement.textContent')).toBe(await line.nth(20).getByRole('link').textContent())
    expect(await page.getByRole('table', { name: 'Secrets' }).getByRole('row').count()).toBe(fixture.world.secrets.length + 1)
  })
})
