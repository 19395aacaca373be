import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const candidates = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const found = candidates.find((path) => path !== undefined && existsSync(path))

/** Where Chromium is; null where there is none, and the tests of the browser are passed over with a sentence. */
export const chromiumPath: string | null = found ?? null

if (chromiumPath === null)
  console.warn('passed over: the tests of the console in a browser. There is no Chromium: install it, or name it in CHROMIUM.')

/** The real browser. */
export const launch = (): Promise<Browser> =>
  chromium.launch({
    ...(chromiumPath === null ? {} : { executablePath: chromiumPath }),
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  })
