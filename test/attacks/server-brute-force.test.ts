import { afterEach, beforeEach, expect, test } from 'vitest'
import { pgState } from '../../packages/core/src/databases/postgres.ts'
import { useDatabase } from '../harness/postgres.ts'
import { type Answered, openPeople, type People, passwordOf, setUp, signIn } from './server-people.ts'

const database = useDatabase()
let schemas = 0
let people: People
let owner: Answered['cookies']

beforeEach(async () => {
  people = await openPeople(pgState(database.pool, `brute_${++schemas}`), { trustProxy: false })
  owner = await setUp(people)
})
afterEach(() => people.close())

const guess = (name: string, address = '198.51.100.1', headers = {}) =>
  signIn(people, name, { address, headers, password: 'a wrong guess at it' })
const outcome = ({ status, headers }: Answered) => (status === 429 ? `wait ${headers['retry-after']}` : String(status))

/** Guesses as fast as it is let, for so long. @returns how many passwords were looked at */
async function persist(name: string, forSeconds: number, address?: string): Promise<number> {
  let looked = 0
  for (let passed = 0; passed < forSeconds; ) {
    const { status, headers } = await guess(name, address)
    if (status === 401) looked++
    else {
      const wait = Number(headers['retry-after'])
      people.pass(wait)
      passed += wait
    }
  }
  return looked
}

test('guesses from one address are answered ever more slowly.', async () => {
  const answers = []
  for (const _ of Array(14)) {
    const answered = await guess('ada')
    answers.push(outcome(answered))
    if (answered.status === 429) people.pass(Number(answered.headers['retry-after']))
  }
  expect(answers).toEqual([
    '401',
    '401',
    '401',
    '401',
    '401',
    'wait 1',
    '401',
    'wait 2',
    '401',
    'wait 4',
    '401',
    'wait 8',
    '401',
    'wait 16',
  ])
})

test('whoever guesses for two hours from one address has looked at fewer than 25 passwords, and an hour of rest gives one more.', async () => {
  expect(await persist('ada', 2 * 3600)).toBeLessThan(25)
  people.pass(3600)
  const answers = [await guess('ada'), await guess('ada')]
  expect(answers.map(outcome)).toEqual(['401', 'wait 900'])
})

test('fifty guesses at once are counted like fifty in turn.', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => guess('ada')))
  expect(answers.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(6)
  expect(answers.every(({ status }) => status === 401 || status === 429)).toBe(true)
})

test('who says to be at another address is not believed.', async () => {
  const answers = []
  for (const n of Array(8).keys()) answers.push((await guess('ada', '198.51.100.1', { 'x-forwarded-for': `192.0.2.${n}` })).status)
  expect(answers).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
})

test('an attacker who has a network of IPv6 has one address.', async () => {
  const answers = []
  for (const n of Array(7).keys()) answers.push((await guess('ada', `2001:db8:1:2::${n + 1}`)).status)
  expect(answers).toEqual([401, 401, 401, 401, 401, 429, 429])
  expect((await guess('ada', '2001:db8:1:3::1')).status).toBe(401)
})

test('one password for many names is stopped by the address.', async () => {
  const answers = []
  for (const n of Array(24).keys()) answers.push((await guess(`user${n}`)).status)
  expect(answers.slice(0, 20)).toEqual(Array(20).fill(401))
  expect(answers.slice(20)).toEqual(Array(4).fill(429))
})

test('whether there is such a user is told by no answer, header or limit.', async () => {
  const withoutTime = ({ status, headers, body, cookies }: Answered) => ({ status, body, cookies, headers: { ...headers, date: '' } })
  for (const _ of Array(9)) {
    const [known, unknown] = [await guess('ada', '198.51.100.1'), await guess('nobody', '198.51.100.2')]
    expect(withoutTime(unknown)).toEqual(withoutTime(known))
  }
  const [known] = [await guess('ada', '198.51.100.1')]
  expect(known.body).toMatchObject({ code: 'ERR_RATE_LIMITED' })
})

test('an attack from hundreds of addresses slows one account, and no other.', async () => {
  const answers = []
  for (const n of Array(60).keys()) answers.push((await guess('ada', `198.51.${n}.1`)).status)
  expect(answers.filter((status) => status === 401).length).toBeLessThan(12)
  expect((await guess('bob', '203.0.113.99')).status).toBe(401)
})

test('the owner is not kept out while it goes on, in a browser that signed in before.', async () => {
  for (const n of Array(40).keys()) await guess('ada', `198.51.${n}.1`)
  // Also from the address that attacks.
  for (const _ of Array(20)) await guess('ada', '203.0.113.7')
  expect((await signIn(people, 'ada')).status).toBe(429)
  for (const _ of Array(3)) {
    const signedIn = await signIn(people, 'ada', { cookies: owner })
    expect(signedIn.status).toBe(201)
    owner = signedIn.cookies
    await guess('ada', '198.51.100.1')
  }
})

test('the account is open to every browser a minute after an attack from many addresses.', async () => {
  for (const n of Array(20).keys()) {
    await guess('ada', `198.51.${n}.1`)
    people.pass(60)
  }
  people.pass(60)
  expect((await signIn(people, 'ada', { address: '192.0.2.1' })).status).toBe(201)
})

test('the mark of a browser opens nothing: it is limited by itself, holds for its account only, and ends with the password.', async () => {
  const mark = { 'keyturn-browser': owner['keyturn-browser'] ?? '' }
  expect((await people.ask('GET', '/v1/users', { cookies: mark })).status).toBe(401)
  const wrong = () => signIn(people, 'ada', { cookies: mark, password: 'a wrong guess at it' })
  const answers = []
  for (const _ of Array(7)) answers.push((await wrong()).status)
  expect(answers).toEqual([401, 401, 401, 401, 401, 429, 429])
  // What the browser did is not counted against others, and for another name it is a browser like any other.
  const { status, cookies: fresh } = await signIn(people, 'ada')
  expect(status).toBe(201)
  for (const _ of Array(5)) await guess('bob', '203.0.113.7')
  expect((await signIn(people, 'bob', { cookies: fresh, password: 'a wrong guess at it' })).status).toBe(429)
  const { body } = await people.ask('GET', '/v1/session', { cookies: owner })
  const id = String((body.user as { id: string }).id)
  await people.ask('PATCH', `/v1/users/${id}`, { cookies: owner, body: { password: 'another long password' } })
  people.pass(90_000)
  for (const n of Array(40).keys()) await guess('ada', `198.51.${n}.1`)
  const marked = () => signIn(people, 'ada', { cookies: mark, password: 'another long password', address: '192.0.2.7' })
  expect((await marked()).status).toBe(429)
  people.pass(60)
  expect((await marked()).status).toBe(201)
})

test('an account of their own does not give attackers more guesses.', async () => {
  const { status } = await people.ask('POST', '/v1/users', {
    cookies: owner,
    body: { name: 'mallory', role: 'viewer', password: passwordOf('mallory') },
  })
  expect(status).toBe(201)
  let looked = 0
  let waited = 0
  for (const n of Array(30).keys()) {
    const { status, headers } = await guess(`user${n}`)
    if (status === 401) looked++
    waited += Number(headers['retry-after'] ?? 0)
    people.pass(Number(headers['retry-after'] ?? 0))
    expect((await signIn(people, 'mallory', { address: '198.51.100.1' })).status).toBeLessThan(430)
  }
  expect(looked).toBeLessThan(28)
  expect(waited).toBeGreaterThan(20)
})

test('the password that is asked again is limited, too, for whoever took over a session.', async () => {
  const caller = await people.access.callerOf({
    headers: { cookie: `keyturn=${owner.keyturn}` },
    method: 'GET',
    ip: '203.0.113.7',
  } as never)
  const outcomes = []
  for (const _ of Array(7)) {
    outcomes.push(
      await people.access.passwordHolds(caller as never, 'a wrong guess at it').catch(({ code, statusCode }) => [code, statusCode]),
    )
  }
  expect(outcomes).toEqual([false, false, false, false, false, ['ERR_RATE_LIMITED', 429], ['ERR_RATE_LIMITED', 429]])
  people.pass(900)
  expect(await people.access.passwordHolds(caller as never, passwordOf('ada'))).toBe(true)
})

test('what is over is forgotten, and nothing before: attacks do not fill the database.', async () => {
  const counted = async () => {
    await people.access.sweep()
    const { rows } = await database.pool.query(
      `SELECT scope, count(*)::int AS count FROM brute_${schemas}.attempt GROUP BY scope ORDER BY scope`,
    )
    return Object.fromEntries(rows.map(({ scope, count }) => [scope, count]))
  }
  for (const n of Array(12).keys()) await guess(`user${n % 4}`, `198.51.${n}.1`)
  expect(await counted()).toEqual({ account: 4, address: 12, pair: 12 })
  people.pass(3_590)
  expect(await counted()).toEqual({ account: 4, address: 12, pair: 12 })
  people.pass(20)
  expect(await counted()).toEqual({ pair: 12 })
  people.pass(86_400)
  expect(await counted()).toEqual({})
})

test('two servers on one database count together.', async () => {
  const other = await openPeople(pgState(database.pool, `brute_${schemas}`))
  const answers = []
  for (const n of Array(8).keys())
    answers.push((await signIn(n % 2 ? people : other, 'ada', { address: '198.51.100.1', password: 'a wrong guess at it' })).status)
  await other.close()
  expect(answers).toEqual([401, 401, 401, 401, 401, 429, 429, 429])
})

test('an attack is on record: one event for each address and minute, with its counts, and with nothing of what was typed.', async () => {
  for (const _ of Array(30)) await guess('ada', '198.51.100.1')
  for (const _ of Array(3)) await guess('MyS3cretPasswordInTheWrongField', '198.51.100.2')
  await people.ask('POST', '/v1/setup', { body: { token: 'x', name: 'eve', password: passwordOf('eve') }, address: '198.51.100.2' })
  const [first, second, ...more] = (await people.report()).toSorted((a, b) => (String(a.address) < String(b.address) ? -1 : 1))
  const minute = expect.stringMatching(/^2026-.*:00\.000Z$/)
  expect(first).toEqual({ minute, address: '198.51.100.1', count: 30, reasons: { password: 5, limited: 25 }, users: { ada: 30 } })
  expect(second).toEqual({ minute, address: '198.51.100.2', count: 4, reasons: { password: 3, setup: 1 }, users: { '?': 4 } })
  expect(more).toEqual([])
  expect(await people.report()).toHaveLength(2)
  const { rows } = await database.pool.query(`SELECT data FROM brute_${schemas}.audit_event`)
  expect(JSON.stringify(rows)).not.toContain('MyS3cret')
  expect(people.logged.join()).not.toContain('MyS3cret')
})

test('two servers that put refusals on record at once put each there once.', async () => {
  const other = await openPeople(pgState(database.pool, `brute_${schemas}`))
  for (const n of Array(8).keys()) await guess('ada', `198.51.${n}.1`)
  people.pass(66)
  await Promise.all([people.access.sweep(), other.access.sweep(), people.access.sweep()])
  await other.close()
  expect((await people.report()).map(({ count }) => count)).toEqual(Array(8).fill(1))
})

test('of hundreds of attempts at once most are turned away before they cost anything, and all are on record.', async () => {
  const attempts = Array.from({ length: 150 }, (_, n) => guess(`user${n}`, `10.9.${n >> 6}.${n % 64}`))
  // Who is signed in is served meanwhile; and whoever signs in from a browser that was here before.
  expect((await people.ask('GET', '/v1/users', { cookies: owner })).status).toBe(200)
  expect((await signIn(people, 'ada', { cookies: owner })).status).toBe(201)
  const answers = await Promise.all(attempts)
  expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(75)
  expect(answers.filter(({ status }) => status === 401).length).toBeGreaterThan(10)
  expect(answers.every(({ status, headers }) => status === 401 || headers['retry-after'] === '1')).toBe(true)
  expect((await signIn(people, 'ada')).status).toBe(201)
  await people.access.sweep()
  const events = await people.report()
  expect(events.reduce((sum, { count }) => sum + Number(count), 0)).toBe(150)
})

test('an attack from thousands of addresses does not flood the record.', async () => {
  await database.pool.query(
    `INSERT INTO brute_${schemas}.refusal SELECT date_trunc('minute', timestamptz '2026-01-01'), '10.0.' || n / 256 || '.' || n % 256, '', 'password', 2
     FROM generate_series(1, 5000) n`,
  )
  const events = await people.report()
  expect(events).toHaveLength(51)
  expect(events.at(-1)).toMatchObject({ addresses: 4950, count: 9900 })
})
