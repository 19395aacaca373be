import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Only to end what hangs: on a loaded machine a page may take many times as long as on an idle one. */
export const patiently = { timeout: 120_000 }

/** A page of a real browser, and what went wrong on it: what the policy refused, what was asked of others, what was thrown. */
export interface Visit {
  readonly page: Page
  readonly faults: readonly string[]
}

/** Opens a page in a context of its own: nobody is logged in on it from elsewhere. */
export async function visit(browser: Browser, origin: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options })
  context.setDefaultTimeout(patiently.timeout)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(`thrown: ${error.message}`))
  page.on('request', (request) => {
    const { protocol, origin: to } = new URL(request.url())
    if (protocol !== 'blob:' && to !== new URL(origin).origin) faults.push(`asked of another host: ${to}`)
  })
  page.on('console', (message) => {
    if (/content security policy|refused to/i.test(message.text())) faults.push(`refused by the policy: ${message.text()}`)
  })
  return { page, faults }
}

/** What axe-core finds, a line each: the rule, and where. Only the contrast where only the theme has changed. */
export async function violations(page: Page, { onlyContrast = false } = {}): Promise<string[]> {
  await page.evaluate(`window.axe === undefined && (() => { ${axe} })()`)
  const options = JSON.stringify({
    resultTypes: ['violations'],
    ...(onlyContrast ? { runOnly: { type: 'rule', values: ['color-contrast'] } } : {}),
  })
  const found = await page.evaluate<AxeResults>(`window.axe.run(document, ${options})`)
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')} (${failureSummary})`),
  )
}

/** How many pixels of the page cannot be seen without scrolling sideways. */
export const sideways = (page: Page): Promise<number> =>
  page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth')
