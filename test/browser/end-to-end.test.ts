import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { open } from '../../packages/core/src/open.ts'
import { type Child, startChild } from '../harness/child.ts'
import { useDatabase } from '../harness/postgres.ts'
import { config, fill, keys } from '../server/world.ts'
import { builtConsole } from './build.ts'
import { chromiumPath, launch } from './chromium.ts'
import { patiently, type Visit, visit } from './visit.ts'

const rows = 900
const broken = ['row 7', 'row 500']
const password = 'correct horse battery staple'

describe.skipIf(chromiumPath === null)('the console on its server', () => {
  const database = useDatabase()
  let browser: Browser
  let child: Child
  let url: string
  let ada: Visit

  async function start(port: string): Promise<void> {
    child = startChild('test/browser/serving-child.ts', [port, builtConsole()], { env: { DATABASE_URL: database.url } })
    await child.printed(' ready')
    url = /listening at (\S+) ready/.exec(child.stdout)?.[1] ?? ''
  }

  beforeAll(async () => {
    await database.pool.query('CREATE TABLE tokens (id text PRIMARY KEY, token text, note text)')
    const keyturn = await open(config, { pool: database.pool, env: keys, warn: () => {} })
    await fill(database.pool, keyturn, rows)
    await keyturn.close()
    await database.pool.query(`UPDATE tokens SET token = overlay(token placing 'AAAA' from 20) WHERE id = ANY($1)`, [broken])
    await start('0')
    browser = await launch()
    ada = await visit(browser, url)
  })
  afterAll(async () => {
    await browser?.close()
    await child?.kill()
  })

  async function logIn(page: Page, name: string): Promise<void> {
    await page.goto(url)
    await page.getByLabel('Name').fill(name)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
  }

  test('The link that the server printed makes the first administrator, once.', async () => {
    const { page } = ada
    const link = /set up at (\S+)!/.exec(child.stdout)?.[1] ?? ''
    await page.goto(url + link)
    await page.getByLabel('Name').fill('ada')
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Make the first administrator' }).click()
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor()
    const { page: other } = await visit(browser, url)
    await other.goto(url + link)
    await other.getByRole('heading', { level: 1, name: 'Log in' }).waitFor()
  })

  test('A rotation is watched from its plan to its certificate, paused and resumed, while the server is killed and comes back.', async () => {
    const { page } = ada
    await page.goto(`${url}/keys/app`)
    await page.getByRole('button', { name: 'Rotate…' }).click()
    const go = page.getByRole('button', { name: /^Rotate about/ })
    await go.waitFor()
    const accept = page.getByLabel('Go on: what does not open')
    if (await accept.isVisible()) await accept.check()
    await go.click()
    await page.getByRole('heading', { level: 1, name: 'Rotation of app' }).waitFor()
    const rewritten = () => page.locator('dd').first().locator('span').first().textContent()
    await expect.poll(async () => Number((await rewritten())?.replaceAll(',', '')), patiently).toBeGreaterThan(0)
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText('It goes on where it stopped when it is resumed.').waitFor()
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByText('Values are rewritten while the application works.').waitFor()
    await child.kill()
    await page.getByText('Reconnecting…').waitFor()
    expect(Number((await rewritten())?.replaceAll(',', ''))).toBeGreaterThan(0)
    await start(new URL(url).port)
    await page.getByText('Done, but values remain that do not open.').waitFor()
    await page.getByText('Not complete: something remains.').waitFor()
    await expect
      .poll(() => page.getByRole('table', { name: 'Values set aside' }).getByRole('row').count(), patiently)
      .toBe(broken.length + 1)
    await page.getByText('id row 500').waitFor()
  })

  test('A key with values set aside is retired only when their exact number is accepted, and destroyed only with the password.', async () => {
    const { page } = ada
    await page.goto(`${url}/keys/app`)
    await page.getByRole('button', { name: 'Retire version 1…' }).click()
    const retire = page.getByRole('button', { name: 'Retire version 1', exact: true })
    await retire.click()
    await page.getByLabel('Values set aside that you accept').fill(String(broken.length))
    await retire.click()
    await page.getByText('Version 1 is retired.').waitFor()
    await page.getByRole('button', { name: 'Done' }).click()
    await page.getByRole('button', { name: 'Destroy version 1…' }).click()
    const destroy = page.getByRole('button', { name: 'Destroy version 1', exact: true })
    await page.getByLabel('Type app').fill('app')
    await page.getByLabel('Your password').fill('not the password')
    await destroy.click()
    await page.getByText('ERR_PASSWORD_AGAIN').waitFor()
    await page.getByLabel('Your password').fill(password)
    await page.getByLabel('Do not wait').check()
    await destroy.click()
    // What was accepted for the fence names it still: its plaintext is not given up in silence.
    await page.getByText('ERR_STILL_NAMED').waitFor()
    await database.pool.query('DELETE FROM tokens WHERE id = ANY($1)', [broken])
    await page.getByLabel('Your password').fill(password)
    await destroy.click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('listitem').filter({ hasText: 'Version 1' }).getByText('destroyed').waitFor()
  })

  test('A token is shown once, works, and is refused when it was ended.', async () => {
    const { page } = ada
    await page.goto(`${url}/settings?tab=tokens`)
    await page.getByLabel('Name').fill('ci')
    await page.getByRole('button', { name: 'Make the token' }).click()
    const secret = (await page.getByRole('dialog').locator('code').first().textContent()) ?? ''
    const asked = async () => (await fetch(`${url}/v1/keyrings`, { headers: { authorization: `Bearer ${secret}` } })).status
    expect(await asked()).toBe(200)
    await page.getByRole('button', { name: 'I have kept it' }).click()
    expect(await page.content()).not.toContain(secret)
    await page.getByRole('button', { name: 'End ci…' }).click()
    await page.getByLabel('Type ci').fill('ci')
    await page.getByRole('button', { name: 'End the token' }).click()
    await page.getByText('There is no token').waitFor()
    expect(await asked()).toBe(401)
  })

  test('A viewer is offered nothing that changes something, and is told why.', async () => {
    const { page } = ada
    await page.goto(`${url}/settings?tab=users`)
    await page.getByLabel('Name', { exact: true }).fill('victor')
    await page.getByLabel('First password').fill(password)
    await page.getByRole('button', { name: 'Add the user' }).click()
    await page.getByRole('cell', { name: 'victor', exact: true }).waitFor()
    const victor = await visit(browser, url)
    await logIn(victor.page, 'victor')
    await victor.page.goto(`${url}/keys/app`)
    await victor.page.getByText('To rotate takes the role operator. Yours is viewer.').waitFor()
    expect(await victor.page.getByRole('button', { name: /Rotate|Retire|Destroy|Count/ }).count()).toBe(0)
    expect(victor.faults).toEqual([])
  })

  test('The chain of the audit log is checked, and holds what was done.', async () => {
    const { page } = ada
    await page.goto(`${url}/audit?action=rotation.complete`)
    await page.getByRole('cell', { name: 'rotation.complete' }).first().waitFor()
    await page.getByRole('button', { name: 'Check every event' }).click()
    await page.getByText(/^Intact: \d+ events checked$/).waitFor()
  })

  test('Who logs out everywhere is logged out in the other browser, too.', async () => {
    const other = await visit(browser, url)
    await logIn(other.page, 'ada')
    await ada.page.goto(`${url}/settings`)
    await ada.page.getByRole('button', { name: 'Log out everywhere' }).click()
    await ada.page.getByRole('heading', { level: 1, name: 'Log in' }).waitFor()
    await other.page.getByRole('link', { name: 'Fields' }).click()
    await other.page.getByRole('heading', { level: 1, name: 'Log in' }).waitFor()
    expect([...ada.faults, ...other.faults]).toEqual([])
  })
})
