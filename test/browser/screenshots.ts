import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { root } from '../harness/child.ts'
import { builtConsole } from './build.ts'
import { launch } from './chromium.ts'
import { type Fixture, startFixture } from './fixture/server.ts'
import { pages, themes } from './pages.ts'

// Pictures of every page in both themes, for docs/screenshots/. Usage: node test/browser/screenshots.ts [--out FOLDER] [--width N] [--height N]
const { values } = parseArgs({ options: { out: { type: 'string' }, width: { type: 'string' }, height: { type: 'string' } } })
const folder = values.out ?? join(root, 'docs/screenshots')
const width = Number(values.width ?? 1280)
const mostBytes = 150_000
const tallest = Number(values.height ?? 1040)

async function main(): Promise<void> {
  builtConsole()
  mkdirSync(folder, { recursive: true })
  const fixture = await startFixture()
  const browser = await launch()
  for (const theme of themes) await inTheme(browser, fixture, theme)
  await browser.close()
  await fixture.stop()
}

async function inTheme(browser: Browser, fixture: Fixture, theme: (typeof themes)[number]): Promise<void> {
  const context = await browser.newContext({ colorScheme: theme, viewport: { width, height: 900 }, reducedMotion: 'reduce' })
  const page = await context.newPage()
  const shoot = (name: string) => save(page, join(folder, `${name}-${theme}.png`))
  for (const [name, path] of Object.entries(pages)) {
    fixture.world.in = true
    await page.goto(fixture.url + path)
    if (name === 'rotation') await move(page, fixture)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.waitForTimeout(400)
    await shoot(name)
    if (name === 'keyring') await plan(page, shoot)
  }
  fixture.world.in = false
  await page.goto(`${fixture.url}/`)
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  await shoot('log-in')
  fixture.world.setup = true
  await page.goto(`${fixture.url}/setup#token`)
  await page.getByRole('button', { name: 'Make the first administrator' }).waitFor()
  await shoot('set-up')
  Object.assign(fixture.world, { in: true, setup: false })
  await context.close()
}

async function plan(page: Page, shoot: (name: string) => Promise<void>): Promise<void> {
  await page.goto(page.url().replace('/app', '/connectors'))
  await page.getByRole('button', { name: 'Rotate…' }).click()
  await page.getByRole('heading', { name: 'Steps' }).waitFor()
  await shoot('rotate')
}

/** Lets the first rotation do some rows, so that there is a curve. */
async function move(page: Page, { world }: Fixture): Promise<void> {
  const [first] = world.rotations
  if (first === undefined) return
  await page.getByText('Live').waitFor()
  for (let n = 0; n < 10; n++) {
    first.rowsPerSecond = 2_900 + Math.round(500 * Math.sin(n / 2))
    await page.waitForTimeout(300)
  }
}

async function save(page: Page, path: string): Promise<void> {
  const height = Math.min(tallest, await page.evaluate<number>('document.documentElement.scrollHeight'))
  // A dialog fills the window, not the page.
  if (path.includes('/rotate-')) await page.screenshot({ path })
  else await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height } })
  const { size } = statSync(path)
  console.log(`${path.replace(`${root}/`, '')}  ${Math.round(size / 1000)} kB`)
  if (size > mostBytes) process.exitCode = 1
}

await main()
