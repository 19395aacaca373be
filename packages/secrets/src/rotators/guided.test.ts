import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { startDouble } from '../../../../test/doubles/faults.ts'
import { bearer, described, startIssuer } from '../../../../test/doubles/made-by-hand.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import guided, { options } from './guided.ts'

rotatorConformance('guided', async () => {
  const issuer = await startIssuer()
  const first = issuer.make('by hand')
  return {
    config: { rotator: 'guided', ...described, verify: bearer(issuer.origin) },
    first: { value: first },
    templates: { KEY: '{value}' },
    login: async ({ KEY: key }) => (await fetch(`${issuer.origin}/me`, { headers: { authorization: `Bearer ${key}` } })).ok,
    live: async () => issuer.keys.length,
    person: async (run) => {
      const name = `keyturn-${run.attempt}`
      if (run.steps[run.position] === 'task') return { value: issuer.make(name) }
      const isNew = (each: { readonly name: string }) => each.name === name
      for (const each of [...issuer.keys]) if (isNew(each) === (run.steps[run.position] === 'remove')) issuer.end(each.value)
      return {}
    },
    close: () => issuer.stop(),
  }
})

describe('guided', () => {
  let issuer: Awaited<ReturnType<typeof startIssuer>>
  let old: string
  beforeAll(async () => {
    issuer = await startIssuer()
  })
  afterAll(() => issuer.stop())
  beforeEach(() => {
    issuer.faults.clear()
    issuer.keys.length = 0
    old = issuer.make('old')
  })
  const open = (more: object = {}) =>
    guided(
      options.parse({ ...described, verify: bearer(issuer.origin), ...more }),
      worldOf({ PATH: process.env.PATH ?? '', TENANT: 'acme' }),
    )
  const pasted = (value: string, more = {}) => ({ id: null, parts: { value, ...more } })

  test('a person is told what to do, under which name, and what to paste; and how to end the old one.', async () => {
    const [rotator, call] = [open(), callOf()]
    const task = await rotator.task!(call, pasted(old))
    expect(task).toEqual({
      title: described.title,
      instructions: expect.stringMatching(new RegExp(`\`keyturn-${call.attempt}\`[^]*"braces": 1}\` and {value}[^]*Do not end it`)),
      url: described.url,
      paste: [{ part: 'value', ...described.paste.value }],
    })
    const ending = await rotator.revocation!(call, pasted(old))
    expect(ending).toMatchObject({ instructions: `Delete every key but \`keyturn-${call.attempt}\`.`, url: described.url, paste: [] })
    const swapped = open({ overlap: false, revocation: undefined })
    expect([swapped.overlap, swapped.revocation, (await swapped.task!(call, null)).instructions.includes('Do not end')]).toEqual([
      false,
      undefined,
      false,
    ])
  })

  test('what the issuer calls it is pasted as well, and shown; what is secret never is.', async () => {
    const paste = { id: { label: 'Key id', secret: false }, value: described.paste.value }
    const revocation = { title: 'Delete it', instructions: 'Delete {id}, not {value}.', url: 'https://datadog.example/end' }
    const rotator = open({ paste, revocation })
    expect(rotator.parts).toEqual({ id: 'public', value: 'secret' })
    const value = issuer.make('new')
    const made = await rotator.create(callOf(), pasted(value, { id: ' k-2 ' }), pasted(old, { id: 'k-2' }))
    expect(made).toEqual({ id: 'k-2', parts: { id: 'k-2', value } })
    expect(await rotator.adopt!(callOf(), { id: 'k-1', value: old })).toEqual({ id: 'k-1', parts: { id: 'k-1', value: old } })
    expect(await rotator.revocation!(callOf(), made)).toEqual({ ...revocation, instructions: 'Delete k-2, not {value}.', paste: [] })
  })

  test.each([
    ['the one in use', () => old],
    ['one with a line break in it', () => `dd-${'0'.repeat(23)}\n0`],
    ['one of another form', () => 'sk-proj-0123456789abcdef'],
    ['nothing', () => '  '],
  ])('what is pasted is looked at: %s is refused, and not repeated.', async (_, value) => {
    const text = value()
    const error = await open()
      .create(callOf(), pasted(text), pasted(old))
      .catch((each: unknown) => each)
    expect(error).toMatchObject({ code: 'ERR_PROVIDED' })
    if (text.trim() !== '') expect(String(error)).not.toContain(text)
  })

  test('what no header can have is refused before it looks like a broken connection.', async () => {
    const rotator = open({ paste: { value: { label: 'API key' } } })
    await expect(rotator.create(callOf(), pasted('schlüssel'), null)).rejects.toMatchObject({ code: 'ERR_PROVIDED' })
    expect(await rotator.create(callOf(), pasted(` ${old}\n`), null)).toEqual(pasted(old))
  })

  test.each<[string, object, string | undefined]>([
    ['a header', { headers: { authorization: 'Bearer {value}', 'x-tenant': { env: 'TENANT' } } }, undefined],
    ['HTTP Basic', { basic: { user: 'app', password: '{value}' } }, undefined],
    ['a form', { method: 'POST', form: { key: '{value}' } }, 'application/x-www-form-urlencoded;charset=UTF-8'],
  ])('it is tried in %s: what the issuer lets in works, what it refuses does not.', async (_, how, type) => {
    const rotator = open({ verify: { url: `${issuer.origin}/me`, ...how } })
    expect(await rotator.check(callOf(), pasted(old))).toEqual([])
    expect(await rotator.verify(callOf(), pasted(old))).toEqual({ works: true, sentence: `${issuer.origin}/me answered 200` })
    expect([issuer.came.at(-1)?.headers['content-type'], issuer.came.at(-1)?.headers.connection]).toEqual([type, 'close'])
    issuer.end(old)
    expect(await rotator.verify(callOf(), pasted(old))).toEqual({
      works: false,
      later: false,
      sentence: `${issuer.origin}/me answered 401`,
    })
  })

  test('an answer of 200 that says no is a refusal where the place is named.', async () => {
    const said = await startDouble([
      {
        name: 'test',
        method: 'POST',
        path: /^\/test$/,
        answer: ({ body }) => ({ status: 200, body: { ok: JSON.parse(String(body)).token === old } }),
      },
    ])
    const verify = { url: `${said.origin}/test`, method: 'POST', json: { token: '{value}' }, path: '.ok' }
    expect(await open({ verify }).verify(callOf(), pasted(old))).toMatchObject({ works: true })
    expect(await open({ verify }).verify(callOf(), pasted('dd-other'))).toMatchObject({ works: false, later: false })
    await said.stop()
  })

  test('what says neither is asked again and never taken for a refusal: another status, a broken server, no answer, a redirect.', async () => {
    const [rotator, kinds] = [open(), [] as unknown[]]
    for (const fault of [
      { status: 404 },
      { status: 500 },
      { status: 429 },
      'drop',
      { status: 302, headers: { location: '/login' } },
    ] as const) {
      issuer.faults.next('GET', fault)
      kinds.push(await rotator.verify(callOf(), pasted(old)).then((verdict) => verdict, kindOf))
    }
    expect(kinds).toEqual(['uncertain', 'uncertain', 'busy', 'uncertain', 'uncertain'])
    issuer.faults.next('GET', { status: 404, body: 'no such path' })
    const error = await rotator.verify(callOf(), pasted(old)).catch(String)
    expect(error).toContain(`${issuer.origin}/me: answered 404, which says neither that it works nor that it does not`)
    const told = open({ verify: { ...bearer(issuer.origin), refused: [404], status: [418] } })
    for (const status of [404, 418]) issuer.faults.next('GET', { status })
    expect([(await told.verify(callOf(), pasted(old))).works, (await told.verify(callOf(), pasted(old))).works]).toEqual([false, true])
  })

  test('a credential does not go along with a redirect to another host.', async () => {
    const other = await startIssuer()
    other.keys.push(...issuer.keys)
    for (const status of [301, 302, 307, 308]) {
      issuer.faults.next('GET', { status, headers: { location: `${other.origin}/me` } })
      await expect(open().verify(callOf(), pasted(old))).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
    }
    expect(other.came).toEqual([])
    await other.stop()
  })

  test('what lets made-up credentials in is found before anything is asked of anybody.', async () => {
    const all = { verify: { ...bearer(issuer.origin), status: [200, 401], refused: [403] } }
    expect(await open(all).check(callOf(), null)).toMatchObject([
      { severity: 'fault', sentence: expect.stringContaining('It would prove nothing') },
    ])
    const neither = { verify: { ...bearer(issuer.origin), refused: [403] } }
    expect(await open(neither).check(callOf(), null)).toMatchObject([
      { severity: 'warning', sentence: expect.stringContaining('answered 401') },
    ])
    expect(await open().check(callOf(), pasted('dd-gone'))).toMatchObject([
      { severity: 'warning', sentence: expect.stringContaining('in use') },
    ])
    const missing = { verify: { url: `${issuer.origin}/me`, headers: { authorization: 'Bearer {value}', 'x-tenant': { env: 'NONE' } } } }
    expect(await open(missing).check(callOf(), null)).toMatchObject([{ severity: 'fault', sentence: expect.stringContaining('NONE') }])
    issuer.faults.next('GET', { status: 500 })
    expect(await open().check(callOf(), null)).toMatchObject([{ severity: 'fault' }])
    expect(JSON.stringify(issuer.came.map(({ url }) => url.href))).not.toContain('dd-')
  })

  test('a program tries it by its input or by a variable, never by an argument; what it prints is thrown away.', async () => {
    const login = (read: string) => [
      process.execPath,
      '-e',
      `${read}.then((key) => { console.log(key); console.error(key); process.exit(process.argv.join().includes('dd-') ? 3 : key === '${old}' ? 0 : key === 'busy' ? 75 : 77) })`,
    ]
    const input = `import('node:stream/consumers').then(({ json }) => json(process.stdin)).then(({ value }) => value)`
    for (const how of [{ command: login(input) }, { command: login('Promise.resolve(process.env.KEY)'), variables: { KEY: '{value}' } }]) {
      const rotator = open({ verify: { ...how, seconds: 30 } })
      expect(rotator.callMs).toBe(30_000)
      expect(await rotator.check(callOf(), pasted(old))).toEqual([])
      expect(await rotator.verify(callOf(), pasted(old))).toMatchObject({ works: true })
      expect(await rotator.verify(callOf(), pasted('dd-other'))).toMatchObject({ works: false, later: false })
      expect(await rotator.verify(callOf(), pasted('busy')).catch(kindOf)).toBe('uncertain')
    }
  })

  test('options that cannot be right are refused with their place, and what stood there is not repeated.', () => {
    const right = { ...described, verify: bearer('https://datadog.example') }
    expect(options.safeParse(right).success).toBe(true)
    const verify = (more: object) => ({ verify: { ...right.verify, ...more } })
    for (const [wrong, at] of [
      [{ paste: { value: { label: 'key', secret: false } } }, 'paste'],
      [{ paste: { value: { label: 'key', pattern: '(s3cret' } } }, 'paste.value.pattern'],
      [{ paste: { 'a b': { label: 'key' } } }, 'paste.a b'],
      [{ revocation: undefined }, 'revocation'],
      [{ title: 'two\nlines' }, 'title'],
      [verify({ headers: { authorization: 'Bearer s3cret' } }), 'verify'],
      [verify({ headers: { authorization: 'Bearer {token}' } }), 'verify'],
      [verify({ headers: { authorization: 'Bearer {next.value}' } }), 'verify'],
      [verify({ url: 'https://datadog.example/{value}' }), 'verify.url'],
      [verify({ url: 'https://me:s3cret@datadog.example/' }), 'verify.url'],
      [verify({ form: { a: '{value}' }, json: { a: '{value}' } }), 'verify'],
      [{ verify: { command: ['login'], input: 's3cret' } }, 'verify'],
      [{ verify: {} }, 'verify'],
    ] as const) {
      const { success, error } = options.safeParse({ ...right, ...wrong })
      expect([wrong, success, error?.issues[0]?.path.join('.')]).toEqual([wrong, false, at])
      expect(JSON.stringify(error?.issues)).not.toContain('s3cret')
    }
  })
})
