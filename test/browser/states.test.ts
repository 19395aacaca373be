import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtConsole } from './build.ts'
import { chromiumPath, launch } from './chromium.ts'
import type { Condition } from './fixture/routes.ts'
import { type Fixture, startFixture } from './fixture/server.ts'
import { pages, themes } from './pages.ts'
import { patiently, sideways, type Visit, violations, visit } from './visit.ts'

const narrow = 360
/** Half of a usual window: what remains of it at 200 % zoom. */
const zoomed = 640

describe.skipIf(chromiumPath === null)('the pages of the console', () => {
  let browser: Browser
  let fixture: Fixture
  let here: Visit

  beforeAll(async () => {
    builtConsole()
    ;[browser, fixture] = await Promise.all([launch(), startFixture()])
    here = await visit(browser, fixture.url)
  })
  afterAll(async () => {
    await browser?.close()
    await fixture?.stop()
  })

  const settled: Record<Condition, string> = {
    ready: 'main h2',
    empty: 'main h2',
    error: '[role=alert]',
    loading: '.skeleton',
  }

  async function go(path: string, condition: Condition) {
    fixture.world.condition = condition
    await here.page.goto(fixture.url + path)
    await here.page.locator(settled[condition]).first().waitFor()
    if (condition !== 'loading') await expect.poll(() => here.page.locator('.skeleton').count(), patiently).toBe(0)
  }

  /** Both themes, the narrow page and the enlarged one. */
  async function expectWellMade() {
    const { page } = here
    const found: string[] = []
    for (const theme of themes) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
      const wrong = await violations(page, { onlyContrast: theme === 'dark' })
      found.push(...wrong.map((each) => `${theme}: ${each}`))
    }
    for (const width of [narrow, zoomed]) {
      await page.setViewportSize({ width, height: 800 })
      const beyond = await sideways(page)
      if (beyond > 0) found.push(`${beyond} px beyond a page of ${width}`)
    }
    await page.setViewportSize({ width: 1280, height: 900 })
    expect([...found, ...here.faults]).toEqual([])
  }

  const conditions: readonly Condition[] = ['ready', 'empty', 'error', 'loading']
  const all = Object.entries(pages).flatMap(([name, path]) => conditions.map((condition) => [name, condition, path] as const))

  test.each(all)('the page %s, %s: no violation in both themes, no sideways scrolling, nothing refused', async (_, condition, path) => {
    await go(path, condition)
    await expectWellMade()
  })

  test.each(['rotate', 'retire', 'destroy', 'cancel', 'token'] as const)('the question %s: no violation', async (name) => {
    const { page } = here
    const [path, button] = questions[name]
    await go(path, 'ready')
    if (name === 'token') await page.getByLabel('Name').fill('deploy')
    await page.getByRole('button', { name: button }).click()
    await page.getByRole('dialog').waitFor()
    if (name === 'rotate') await page.getByRole('heading', { name: 'Steps' }).waitFor()
    await expectWellMade()
  })
  const questions = {
    rotate: ['/keys/connectors', 'Rotate…'],
    retire: ['/keys/app', 'Retire version 3…'],
    destroy: ['/keys/app', 'Destroy version 2…'],
    cancel: ['/rotations/01K9XQ4ZJ7', 'Cancel…'],
    token: ['/settings?tab=tokens', 'Make the token'],
  } as const

  test.each(['log-in', 'set-up'] as const)('the page %s: no violation', async (name) => {
    const { page } = here
    Object.assign(fixture.world, { in: false, setup: name === 'set-up', condition: 'ready' })
    await page.goto(`${fixture.url}${name === 'set-up' ? '/setup#token' : '/settings'}`)
    await page.locator('form').waitFor()
    await expectWellMade()
    Object.assign(fixture.world, { in: true, setup: false })
  })
})
