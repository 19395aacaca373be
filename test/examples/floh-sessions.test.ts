import { describe, expect, test } from 'vitest'
import { useRedis } from '../harness/redis.ts'
import { documentedRequests } from './floh/procedure.ts'
import { follow } from './floh/rolling.ts'
import { useFloh } from './floh/world.ts'
import { readProcedure } from './procedure.ts'

/** Only to end what hangs. */
const patient = { timeout: 120_000 }

const redis = await useRedis()
const DAY_MS = 24 * 3_600_000

describe.skipIf(redis.missing)('Floh', () => {
  const floh = useFloh(redis)
  const key = floh.secret()
  const connectors = { CONNECTOR_ENCRYPTION_KEY: floh.secret() }

  /** Every session in Redis: its text, and when it ends. */
  async function stored(): Promise<Map<string, { readonly text: string; readonly end: number }>> {
    const found = new Map<string, { readonly text: string; readonly end: number }>()
    for (const name of await floh.sessions()) {
      const [text, end] = [await redis.client.get(name), await redis.client.call('PEXPIRETIME', name)]
      found.set(name, { text: text ?? '', end: Number(end) })
    }
    return found
  }
  const ends = async () => new Map([...(await stored())].map(([name, { end }]) => [name, end]))
  const showsIssued = (text: string) => [...floh.provider.issued].some((token) => text.includes(token))

  /** Logs several in. @returns their cookies by their names */
  async function loginEach(users: readonly string[]): Promise<Map<string, string>> {
    const cookies = new Map<string, string>()
    for (const user of users) cookies.set(user, await floh.login(user))
    return cookies
  }
  /** The provider says whose the token in a session is. */
  async function expectLoggedIn(user: string, cookie: string | undefined): Promise<void> {
    expect(await floh.ask('GET', '/api/me', { cookie: cookie ?? '' })).toEqual({ status: 200, body: { user } })
  }

  test('L6 Tokens of users stand encrypted in floh:session:* for 24 hours; production needs SESSION_ENCRYPTION_KEY, and without it development keeps plain JSON', async () => {
    const refusal = { code: 1, message: expect.stringContaining('SESSION_ENCRYPTION_KEY') }
    expect(await floh.refused(connectors)).toEqual(refusal)
    expect(await floh.refused({ ...connectors, SESSION_ENCRYPTION_KEY: key.slice(2) })).toEqual(refusal)

    const development = await floh.start({ ...connectors, NODE_ENV: 'development' })
    const plain = await floh.login('ada')
    await expectLoggedIn('ada', plain)
    const [inTheClear] = [...(await stored()).values()]
    expect(showsIssued(inTheClear?.text ?? '')).toBe(true)
    await floh.stop(development)

    const instance = await floh.start({ ...connectors, SESSION_ENCRYPTION_KEY: key })
    // What nobody sealed is no session: it could have been planted.
    expect((await floh.ask('GET', '/api/me', { cookie: plain })).status).toBe(401)
    await expect
      .poll(() => instance.events('session-refused'), patient)
      .toMatchObject([{ field: 'session.tokens', session: expect.stringMatching(/^hmac:/) }])
    const before = Date.now()
    const known = new Set(await floh.sessions())
    await expectLoggedIn('grace', await floh.login('grace'))
    const [[name, { text, end }]] = [...(await stored())].filter(([name]) => !known.has(name)) as [[string, { text: string; end: number }]]
    expect(name).toMatch(/^floh:session:.{20,}/)
    // Its life counts from within the login; a minute is what a clock of Redis may differ by.
    expect(end).toBeGreaterThan(before + DAY_MS - 60_000)
    expect(end).toBeLessThan(Date.now() + DAY_MS + 60_000)
    const sealed = expect.stringMatching(/^kt1\./)
    expect(JSON.parse(text)).toMatchObject({ user: 'grace', tokens: { access: sealed, refresh: sealed } })
    expect(showsIssued(text)).toBe(false)
    // A record that is copied to another session is none there.
    const [victim] = [...known] as [string]
    await redis.client.set(victim, text, 'PX', DAY_MS)
    expect((await floh.ask('GET', '/api/me', { cookie: plain })).status).toBe(401)
  })

  test('L6 SESSION_ENCRYPTION_KEY changes as the README has it, under users who read all the time: through the rolling restarts and the rotation every session stays, and ends when it would have', async () => {
    const next = floh.secret()
    const keys = { ...connectors }
    const seed = await floh.start({ ...keys, SESSION_ENCRYPTION_KEY: key })
    const cookies = await loginEach(['ada', 'bob', 'cem', 'dora'])
    const token = await floh.bearer('grace')
    const before = await ends()
    expect(before.size).toBe(5)
    await floh.stop(seed)

    const rotateKey = documentedRequests('README.md').find(({ path }) => path.includes('sessions'))
    const look = async () => {
      const { keyrings } = (await floh.ask('GET', '/api/admin/encryption', { token })).body
      return keyrings.find(({ keyring }: { keyring: string }) => keyring === 'sessions')
    }
    const reading = [...cookies].map((entry) => () => expectLoggedIn(...entry))
    // Others come and go: what one instance has sealed, each of them opens.
    const coming = async () => {
      const cookie = await floh.login('fred')
      for (let n = 0; n < 3; n++) await expectLoggedIn('fred', cookie)
      expect((await floh.ask('POST', '/logout', { cookie })).body).toEqual({ loggedOut: true })
      expect((await floh.ask('GET', '/api/me', { cookie })).status).toBe(401)
    }
    const { faults } = await follow(floh, readProcedure('floh', 'The next session key', { current: key, next }), {
      keys,
      turns: [...reading, coming],
      rotate: async () => {
        // Somebody logs in while it is under way: under the new key from the beginning.
        cookies.set('ella', await floh.login('ella'))
        const { values } = (await look()).keys.find(({ encrypts }: { encrypts: boolean }) => !encrypts)
        expect(values).toBeGreaterThanOrEqual(10)
        const answer = await floh.ask(rotateKey?.method ?? '', rotateKey?.path ?? '', { token })
        expect(answer).toMatchObject({ status: 200, body: { state: 'completed', failed: 0 } })
        expect(answer.body.values).toBeGreaterThanOrEqual(10)
        expect(await look()).toMatchObject({ unreadable: 0, keys: [{}, { source: 'SESSION_ENCRYPTION_KEY_PREVIOUS', values: 0 }] })
      },
    })
    expect(faults).toEqual([])
    expect((await look()).keys).toEqual([{ source: 'SESSION_ENCRYPTION_KEY', encrypts: true, values: 12, knownToAll: false }])
    const after = await ends()
    for (const [name, end] of before) expect(after.get(name)).toBe(end)
    expect(after.size).toBe(6)
    for (const { text } of (await stored()).values()) expect(showsIssued(text)).toBe(false)

    // Refresh tokens went with them: the access tokens count as expired now, and each session gets new ones.
    for (const name of await floh.sessions()) {
      const record = JSON.parse((await redis.client.get(name)) ?? '')
      await redis.client.set(name, JSON.stringify({ ...record, tokensExpireAt: 0 }), 'KEEPTTL')
    }
    const issued = floh.provider.issued.size
    for (const [user, cookie] of cookies) await expectLoggedIn(user, cookie)
    expect(floh.provider.issued.size).toBeGreaterThanOrEqual(issued + cookies.size)
  })

  test('L6 All sessions end on purpose, and only sessions: how many there are is shown before, and how many have ended after', async () => {
    const instance = await floh.start({ ...connectors, SESSION_ENCRYPTION_KEY: key })
    const cookies = await loginEach(['ada', 'bob', 'cem'])
    const token = await floh.bearer('grace')
    const other = `${redis.prefix}no-session`
    await redis.client.set(other, 'stays')
    const [look, end] = documentedRequests('SECURITY.md') as [{ method: string; path: string }, { method: string; path: string }]
    for (const asking of [{}, { cookie: cookies.get('bob') ?? '' }])
      expect([401, 403]).toContain((await floh.ask(end.method, end.path, asking)).status)
    expect(await floh.ask(look.method, look.path, { token })).toEqual({ status: 200, body: { sessions: 4 } })
    for (const [user, cookie] of cookies) await expectLoggedIn(user, cookie)

    expect(await floh.ask(end.method, end.path, { token })).toEqual({ status: 200, body: { ended: 4 } })
    await expect.poll(() => instance.events('sessions-ended'), patient).toMatchObject([{ actor: 'user:grace', ended: 4 }])
    expect(await floh.ask(look.method, look.path, { token })).toEqual({ status: 200, body: { sessions: 0 } })
    for (const cookie of cookies.values()) expect((await floh.ask('GET', '/api/me', { cookie })).status).toBe(401)
    expect(await redis.client.get(other)).toBe('stays')
    await expectLoggedIn('ada', await floh.login('ada'))
  })
})
