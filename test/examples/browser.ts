import type { Browser } from 'playwright-core'
import { afterAll, afterEach } from 'vitest'
import { chromiumPath, launch } from '../browser/chromium.ts'
import { type Visit, visit } from '../browser/visit.ts'

/** The browser of the file that calls this. Where there is none, `missing` says it. */
export function useBrowser() {
  const opened: Visit[] = []
  let browser: Promise<Browser> | null = null
  afterEach(async () => {
    for (const { page } of opened.splice(0)) await page.context().close()
  })
  afterAll(async () => await (await browser)?.close())
  return {
    missing: chromiumPath === null,
    /** Opens an address as somebody who has this cookie and has not been there before. */
    open: async (url: string, cookie: string): Promise<Visit> => {
      browser ??= launch()
      const { origin } = new URL(url)
      const visited = await visit(await browser, origin)
      opened.push(visited)
      const [name = '', ...value] = cookie.split('=')
      await visited.page.context().addCookies([{ name, value: value.join('='), url: origin }])
      await visited.page.goto(url)
      return visited
    },
  }
}
