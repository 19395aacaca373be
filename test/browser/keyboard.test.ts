import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtConsole } from './build.ts'
import { chromiumPath, launch } from './chromium.ts'
import { type Fixture, startFixture } from './fixture/server.ts'
import { patiently, type Visit, visit } from './visit.ts'

/** What has the focus: its name or text, and whether it can be seen that it has it. */
const focused = (page: Page) =>
  page.evaluate<{ name: string; visible: boolean }>(`(() => {
    const element = document.activeElement
    if (element === document.body) return { name: 'the end', visible: true }
    const { outlineStyle, outlineWidth } = getComputedStyle(element)
    const { width, height, bottom } = element.getBoundingClientRect()
    const name = element.getAttribute('aria-label') ?? element.textContent ?? ''
    return { name: name.trim(), visible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && width > 0 && height > 0 && bottom > 0 }
  })()`)

describe.skipIf(chromiumPath === null)('the console by keyboard alone', () => {
  let browser: Browser
  let fixture: Fixture
  let here: Visit

  beforeAll(async () => {
    builtConsole()
    ;[browser, fixture] = await Promise.all([launch(), startFixture({ prefix: '/keyturn' })])
    here = await visit(browser, fixture.url)
  })
  afterAll(async () => {
    await browser?.close()
    await fixture?.stop()
  })

  test('A walk through a page meets the skip link first, then everything else, and the focus can always be seen.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/keys/app`)
    await page.getByRole('button', { name: 'Destroy version 2…' }).waitFor()
    const met: string[] = []
    for (let n = 0; n < 60; n++) {
      await page.keyboard.press('Tab')
      const { name, visible } = await focused(page)
      if (name === 'the end') break
      expect([name, visible]).toEqual([name, true])
      met.push(name)
    }
    expect(met[0]).toBe('Skip to the page')
    expect(met).toEqual(
      expect.arrayContaining(['Overview', 'Settings', 'Log out', 'Watch the rotation', 'Retire version 3…', 'Count the values']),
    )
  })

  test('The skip link leads to the page, and the address stays.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/keys`)
    await page.getByRole('table').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
    await page.keyboard.press('Tab')
    expect((await focused(page)).name).toBe('app')
    expect(page.url()).toBe(`${fixture.url}/keys`)
  })

  test('A question keeps the focus, Escape answers no, and the focus goes back to where it was.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/keys/connectors`)
    await page.getByRole('button', { name: 'Rotate…' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Steps' }).waitFor()
    for (let n = 0; n < 8; n++) {
      await page.keyboard.press('Tab')
      expect(await page.evaluate("document.activeElement.closest('[role=dialog]') !== null")).toBe(true)
    }
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await expect.poll(async () => (await focused(page)).name, patiently).toBe('Rotate…')
  })

  test('Another page begins at its title, for whoever hears it.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/`)
    await page.getByRole('link', { name: 'Fields' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Fields' }).waitFor()
    await expect.poll(async () => (await focused(page)).name, patiently).toBe('Fields')
    expect(await page.title()).toBe('Fields · Keyturn')
  })

  test('Whoever wants less motion sees none, also while a page loads.', async () => {
    const { page } = here
    fixture.world.condition = 'loading'
    await page.goto(`${fixture.url}/keys`)
    await page.locator('.skeleton').first().waitFor()
    expect(await page.evaluate('document.getAnimations().length')).toBe(0)
    await page.emulateMedia({ reducedMotion: 'no-preference' })
    await expect.poll(() => page.evaluate('document.getAnimations().length'), patiently).toBeGreaterThan(0)
    await page.emulateMedia({ reducedMotion: 'reduce' })
    fixture.world.condition = 'ready'
  })

  test('The theme that was chosen lasts, whatever the system says.', async () => {
    const { page } = here
    const paper = () => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
    await page.emulateMedia({ colorScheme: 'light' })
    await page.goto(`${fixture.url}/keys`)
    const light = await paper()
    await page.getByRole('radio', { name: 'Dark' }).click()
    const dark = await paper()
    expect(dark).not.toBe(light)
    await page.reload()
    expect(await paper()).toBe(dark)
    await page.getByRole('radio', { name: 'As the system' }).click()
    expect(await paper()).toBe(light)
  })

  test('The page of an older system leads to the keys, under any prefix.', async () => {
    const { page } = here
    await page.goto(`${fixture.url}/admin/encryption`)
    await page.getByRole('heading', { level: 1, name: 'Keys' }).waitFor()
    expect(page.url()).toBe(`${fixture.url}/keys`)
    expect(here.faults).toEqual([])
  })
})
