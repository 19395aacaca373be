import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { rotatorConformance } from '../../../../test/conformance/secrets/rotator.ts'
import { root } from '../../../../test/harness/child.ts'
import { callOf, worldOf } from '../../../../test/harness/parts.ts'
import { kindOf } from '../outside/failure.ts'
import { shortSentence } from './exec/sentence.ts'
import exec, { options } from './exec.ts'

const folder = await mkdtemp(join(tmpdir(), 'keyturn-exec-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Of any language; this one starts fast. */
const program = join(root, 'test/secrets/parts/vendor.sh')

rotatorConformance('exec', async () => {
  const issuer = join(folder, 'issuer')
  await mkdir(issuer)
  await writeFile(join(issuer, 'first'), 'by-hand\nthe-one-from-before\ntrue\n')
  const lines = async () => {
    const files = (await readdir(issuer)).filter((name) => !name.startsWith('.'))
    return Promise.all(files.map(async (name) => (await readFile(join(issuer, name), 'utf8')).split('\n')))
  }
  return {
    config: {
      rotator: 'exec',
      command: ['sh', program, issuer],
      parts: { token: 'secret' },
      overlap: true,
      operations: ['list', 'disable', 'enable', 'adopt'],
    },
    env: { PATH: process.env.PATH ?? '' },
    first: { token: 'the-one-from-before' },
    templates: { TOKEN: '{token}' },
    login: async ({ TOKEN }) => (await lines()).some(([, token, enabled]) => token === TOKEN && enabled === 'true'),
    live: async () => (await lines()).length,
    close: async () => {},
  }
})

describe('a program', () => {
  let seen: string
  beforeEach(() => {
    seen = join(folder, `${Math.random()}.json`)
  })
  /** Writes down what it was given, and does what the script says. */
  const open = (script: string, more: object = {}) => {
    const note = `const text = require('node:fs').readFileSync(0, 'utf8'); const asked = JSON.parse(text);
      require('node:fs').writeFileSync(process.argv[1], JSON.stringify({ asked, args: process.argv.slice(2), env: process.env }));`
    const command = [process.execPath, '-e', `${note}${script}`, seen, 'an argument']
    const given = { command, parts: { user: 'public', password: 'secret' }, overlap: true, ...more }
    return exec(options.parse(given), worldOf({ PATH: process.env.PATH ?? '', VENDOR: 'the login of the vendor' }))
  }
  const given = { id: 'x', parts: { user: 'app', password: 'hunter2hunter2' } }
  const print = (answer: unknown) => `console.log(${JSON.stringify(JSON.stringify(answer))})`

  test('is told by its input what to do, and no credential by arguments or variables.', async () => {
    const call = callOf()
    expect(await open(print(given), { env: ['VENDOR'] }).create(call, given, null)).toEqual(given)
    const { asked, args, env } = JSON.parse(await readFile(seen, 'utf8'))
    expect(asked).toEqual({
      operation: 'create',
      secret: 'test',
      attempt: call.attempt,
      name: `keyturn-${call.attempt}`,
      given,
      current: null,
    })
    expect(args).toEqual(['an argument'])
    expect(env).toEqual({ PATH: process.env.PATH, VENDOR: 'the login of the vendor' })
  })

  test('has the operations that are named, and no others.', () => {
    expect(Object.keys(open('', { operations: ['propose', 'list'] }))).toEqual(
      expect.arrayContaining(['propose', 'list', 'check', 'create', 'verify', 'revoke']),
    )
    expect(open('')).not.toHaveProperty('propose')
    expect(open('', { operations: ['disable'] })).not.toHaveProperty('enable')
  })

  test.each([
    [75, 'ERR_OUTSIDE_BUSY'],
    [64, 'ERR_OUTSIDE_REFUSED'],
    [77, 'ERR_OUTSIDE_REFUSED'],
    [78, 'ERR_OUTSIDE_REFUSED'],
    [1, 'ERR_OUTSIDE_UNCERTAIN'],
    [127, 'ERR_OUTSIDE_UNCERTAIN'],
  ])('that ends with %i means %s.', async (code, means) => {
    await expect(open(`process.exit(${code})`).create(callOf(), given, null)).rejects.toMatchObject({ code: means })
  })

  test('whose answer has another form is not believed, and nothing of it is repeated.', async () => {
    const wrong = [
      'hunter2hunter2',
      print({ id: 'x' }),
      print({ id: 'x', parts: { user: 'hunter2hunter2' } }),
      print([]),
      '',
      print({ id: 7, parts: given.parts }),
    ]
    for (const answer of wrong) {
      const script = answer.startsWith('console') || answer === '' ? answer : `console.log('${answer}'); console.error('${answer}')`
      const creating = open(script).create(callOf(), given, null)
      await expect(creating, script).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
      await expect(creating, script).rejects.not.toThrow(/hunter2/)
    }
  })

  test('answers questions in its own words, as long as they hold no secret.', async () => {
    const verify = (answer: object) => open(print(answer)).verify(callOf(), given)
    expect(await verify({ works: true, sentence: 'it logged in\nwell' })).toEqual({ works: true, sentence: 'it logged in well' })
    expect(await verify({ works: false, later: true, sentence: 'not yet' })).toEqual({ works: false, later: true, sentence: 'not yet' })
    expect(await verify({ works: false, sentence: 'bad password hunter2hunter2' })).toEqual({
      works: false,
      later: false,
      sentence: expect.stringContaining('does not work'),
    })
    expect(await open(print({ findings: [{ severity: 'warning', sentence: 'so' }] })).check(callOf(), null)).toEqual([
      { severity: 'warning', sentence: 'so' },
    ])
    expect(await open('').check(callOf(), null)).toEqual([])
    expect(await open('process.exit(78)').check(callOf(), null)).toMatchObject([{ severity: 'fault' }])
    const more = { operations: ['lastUsed', 'list'] }
    expect(await open(print({}), more).lastUsed!(callOf(), given)).toBeUndefined()
    expect(await open(print({ at: null }), more).lastUsed!(callOf(), given)).toBeNull()
    expect(await open(print({ credentials: [{ id: 'x' }] }), more).list!(callOf())).toEqual([
      { id: 'x', name: null, createdAt: null, used: null, enabled: true },
    ])
  })
})

test('a program that answers with the credential in use has made none: to end the old one would end it.', async () => {
  const made = { id: 'new', parts: { user: 'app-2', password: 'hunter2hunter2' } }
  const command = [process.execPath, '-e', `console.log(${JSON.stringify(JSON.stringify(made))})`]
  const rotator = exec(
    options.parse({ command, parts: { user: 'public', password: 'secret' }, overlap: true }),
    worldOf({ PATH: process.env.PATH ?? '' }),
  )
  const current = { id: 'old', parts: { user: 'app', password: 'hunter2hunter2' } }
  const error = await rotator.create(callOf(), null, current).catch((each: unknown) => each)
  expect([kindOf(error), String(error)]).toEqual(['refused', expect.not.stringContaining('hunter2')])
  expect(await rotator.create(callOf(), null, { ...current, parts: { user: 'app', password: 'another one' } })).toEqual(made)
})

test('a sentence is short, on one line and without a part.', () => {
  expect(shortSentence('x'.repeat(1000), [])).toHaveLength(300)
  expect(shortSentence('at p%40ss', [{ id: null, parts: { password: 'p@ss' } }])).toBe('')
})

test('options that cannot work are refused.', () => {
  const good = { command: ['x'], parts: { value: 'secret' }, overlap: true }
  expect(options.safeParse(good).success).toBe(true)
  for (const bad of [
    { command: [] },
    { parts: {} },
    { parts: { user: 'public' } },
    { parts: { 'a-b': 'secret' } },
    { operations: ['create'] },
    { seconds: 0 },
  ])
    expect(options.safeParse({ ...good, ...bad }).success, JSON.stringify(bad)).toBe(false)
})
