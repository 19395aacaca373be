import { describe, expect, test } from 'vitest'
import { useRedis } from '../harness/redis.ts'
import { useBrowser } from './browser.ts'
import { type CalledSystem, startCalledSystem } from './floh/called-system.ts'
import { useFloh } from './floh/world.ts'

const redis = await useRedis()
/** Only to end what hangs: everything shares the processor. */
const patient = { timeout: 120_000 }
const browser = useBrowser()

describe.skipIf(redis.missing || browser.missing)('Floh', () => {
  const floh = useFloh(redis)

  test('L4 Connectors → Rotate Keys: the button of the page asks for confirmation, rewrites what the request rewrites, and shows total, rotated, skipped and failed', async () => {
    const [key, next] = [floh.secret(), floh.secret()]
    const sessions = { SESSION_ENCRYPTION_KEY: floh.secret() }
    const configSchema = { type: 'object', properties: { url: { type: 'string' }, apiKey: { type: 'string', secret: true } } }
    const called: CalledSystem = await startCalledSystem()
    const connect = async (name: string) => {
      const config = { url: called.url, apiKey: called.issue() }
      return (await floh.ask('POST', '/api/connectors', { token: await floh.bearer('ada'), body: { name, configSchema, config } })).body.id
    }
    try {
      const before = await floh.start({ ...sessions, CONNECTOR_ENCRYPTION_KEY: key })
      // A name is what somebody has typed, and no part of the page.
      for (const name of ['billing', '<img src=x onerror=alert(1)>']) await connect(name)
      await floh.stop(before)
      const { url } = await floh.start({ ...sessions, CONNECTOR_ENCRYPTION_KEY: next, CONNECTOR_ENCRYPTION_KEY_PREVIOUS: key })
      const fresh = await connect('fresh')
      const stored = async () =>
        (await floh.server.pool.query('SELECT connector_config->>$1 AS sealed FROM connector_definition ORDER BY id', ['apiKey'])).rows
      const untouched = await stored()

      expect((await fetch(`${url}/connectors`, { redirect: 'manual' })).headers.get('location')).toBe('/login')
      expect((await floh.ask('GET', '/connectors', { cookie: await floh.login('eve') })).status).toBe(403)
      const { page, faults } = await browser.open(`${url}/connectors`, await floh.login('ada'))
      await expect
        .poll(() => page.locator('#connectors li').allTextContents(), patient)
        .toEqual(['<img src=x onerror=alert(1)>', 'billing', 'fresh'])

      const press = () => page.getByRole('button', { name: 'Rotate Keys' }).click()
      const confirm = (answer: string) => page.getByRole('dialog').getByRole('button', { name: answer }).click()
      const shown = async () =>
        await Promise.all(['total', 'rotated', 'skipped', 'failed'].map((id) => page.locator(`#${id}`).textContent()))
      await press()
      await confirm('Cancel')
      expect(await page.getByRole('dialog').count()).toBe(0)
      await press()
      await page.keyboard.press('Escape')
      expect(await stored()).toEqual(untouched)

      await press()
      await confirm('Rotate')
      await expect.poll(() => page.getByRole('status').textContent(), patient).toBe('Done, counted in documents.')
      expect(await shown()).toEqual(['3', '2', '1', '0'])

      await floh.server.pool.query(
        `UPDATE connector_definition SET connector_config = jsonb_set(connector_config, '{apiKey}', '"kt1.aaaaaaaa.AAAA"') WHERE id = $1`,
        [fresh],
      )
      await press()
      await confirm('Rotate')
      await expect
        .poll(() => page.locator('#failures li').allTextContents(), patient)
        .toEqual([expect.stringMatching(new RegExp(`^connector_definition ${fresh}: ERR_`))])
      expect(await shown()).toEqual(['3', '0', '2', '1'])
      expect(faults).toEqual([])
    } finally {
      await called.close()
    }
  })
})
