import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { targetConformance } from '../../../../test/conformance/secrets/target.ts'
import { startFly } from '../../../../test/doubles/fly.ts'
import type { Boot, Env, MachineOptions } from '../../../../test/doubles/fly-machine.ts'
import type { Call } from '../secret/call.ts'
import { worldOf } from '../secret/opened-secret.ts'
import flyStore from '../stores/fly.ts'
import fly, { options } from './fly.ts'

const double = await startFly()
let app = ''
let apps = 0
const env: Record<string, string> = { WRONG: 'fm2_wrong-token' }
const world = worldOf(env, Date.now)

beforeEach(() => {
  app = `shop-${++apps}`
  env.TOKEN = double.createApp(app).token
})
afterEach(() => {
  double.faults.clear()
  double.limited = false
})
afterAll(() => double.stop())

const given = (more: object = {}) => ({ app, token: { env: 'TOKEN' }, endpoint: double.api, pauseMs: 1, ...more })
const targetOf = (more: object = {}) => fly(options.parse(given(more)), world)
const call = (signal = new AbortController().signal): Call => ({ secret: 'jwt', attempt: randomUUID(), signal })
const write = async (KEY: string) => ({ fly: (await flyStore(given(), world).write(call(), { KEY })).version })
const machines = (count: number, more: MachineOptions = {}) =>
  Promise.all(Array.from({ length: count }, () => double.createMachine(app, more)))
const keys = (all: readonly { readonly env: Env }[]) => all.map((machine) => machine.env.KEY)
const updates = (machine: { readonly id: string }) =>
  double.calls.filter(({ operation, ids }) => operation === 'machines.update' && ids.includes(machine.id)).length

targetConformance('fly', async (first) => {
  const own = double.createApp('conforming')
  const config = { app: 'conforming', token: { env: 'OWN' }, endpoint: double.api, pauseMs: 1 }
  const mine = { OWN: own.token }
  await flyStore(config, worldOf(mine, Date.now)).write(call(), { KEY: first })
  const all = await Promise.all([1, 2].map(() => double.createMachine('conforming', { staleHost: true })))
  const applied = () =>
    double.calls.filter((one) => one.operation === 'machines.update' && one.applied && all.some(({ id }) => one.ids.includes(id)))
  return {
    store: { store: 'fly', ...config },
    config: { target: 'fly', ...config },
    env: mine,
    part: fly(options.parse(config), worldOf(mine, Date.now)),
    running: async () => keys(all),
    deployments: async () => applied().length / all.length,
    sent: async () => JSON.stringify(all.map((machine) => machine.config)),
    lose: () => double.faults.next('machines.update', 'drop'),
    refuse: () => double.faults.next('machines.update', { status: 422 }),
    hang: () => {
      double.faults.next('machines.update', 'silent')
      return () => double.calls.at(-1)?.fault === 'silent'
    },
    close: async () => {},
  }
})

test('every machine boots with the new secrets, also on a host that is behind, and keeps its config', async () => {
  await write('old')
  const all = await machines(3, { staleHost: true, env: { PORT: '80' } })
  const versions = await write('new')
  expect(keys(all)).toEqual(['old', 'old', 'old'])
  expect(await targetOf().deploy(call(), versions)).toMatchObject({ machines: 3, replaced: 3, stopped: 0 })
  expect(keys(all)).toEqual(['new', 'new', 'new'])
  expect(all.map((machine) => machine.env.PORT)).toEqual(['80', '80', '80'])
  expect(all.map(({ lease }) => lease)).toEqual([null, null, null])
})

test('one is replaced after the other: never are two not running', async () => {
  let down = 0
  let most = 0
  const boot: Boot = async () => {
    most = Math.max(most, ++down)
    await new Promise((resolve) => setImmediate(resolve))
    down--
    return undefined
  }
  const all: { env: Env }[] = []
  for (let machine = 0; machine < 3; machine++) all.push(await double.createMachine(app, { boot }))
  most = 0
  await targetOf().deploy(call(), await write('new'))
  expect(most).toBe(1)
  expect(keys(all)).toEqual(['new', 'new', 'new'])
})

test('deploying again replaces nothing twice, also where the answer to an update was lost', async () => {
  const all = await machines(2)
  const versions = await write('new')
  double.faults.next('machines.update', 'drop')
  await expect(targetOf().deploy(call(), versions)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_UNCERTAIN' })
  await targetOf().deploy(call(), versions)
  expect(await targetOf().deploy(call(), versions)).toMatchObject({ replaced: 0 })
  expect(keys(all)).toEqual(['new', 'new'])
  expect(all.map(updates)).toEqual([1, 1])
})

test('a machine that was stopped stays so, and boots with the new secrets when it starts', async () => {
  const machine = await double.createMachine(app, { stopped: true })
  expect(await targetOf().deploy(call(), await write('new'))).toMatchObject({ replaced: 0, stopped: 1 })
  expect(machine.state).toBe('stopped')
  machine.launch()
  await machine.booted
  expect(machine.env.KEY).toBe('new')
})

test('after one that fails no other machine is begun, however many are replaced at once', async () => {
  await write('good')
  const boot: Boot = ({ KEY }) => (KEY === 'bad' ? Promise.reject(new Error('it crashed')) : undefined)
  const all = [...(await machines(1, { boot })), ...(await machines(12))]
  await expect(targetOf({ atOnce: 2 }).deploy(call(), await write('bad'))).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(keys(all).slice(-3)).toEqual(['good', 'good', 'good'])
})

test('a machine that crashes over the new value ends the deployment, and is started again with the old one', async () => {
  await write('good')
  const boot: Boot = ({ KEY }) => (KEY === 'bad' ? Promise.reject(new Error('it crashed')) : undefined)
  const all = await machines(2, { boot })
  const versions = await write('bad')
  for (let time = 0; time < 2; time++)
    await expect(targetOf().deploy(call(), versions)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  expect(keys(all)).toEqual(['good', 'good'])
  expect(all.map(({ state }) => state).sort()).toEqual(['started', 'stopped'])
  await targetOf().deploy(call(), await write('good'))
  expect(all.map(({ state }) => state)).toEqual(['started', 'started'])
})

test('a machine whose checks do not pass is not ready', async () => {
  let looks = 0
  await machines(1, { checks: () => [{ name: 'http', status: ++looks > 2 ? 'passing' : 'critical' }] })
  looks = 0
  await targetOf().deploy(call(), await write('new'))
  expect(looks).toBeGreaterThan(2)
  looks = -1_000_000
  await expect(targetOf().deploy(call(AbortSignal.timeout(300)), await write('newer'))).rejects.toMatchObject({
    code: 'ERR_OUTSIDE_UNCERTAIN',
  })
})

test('a machine with the lease of another is busy, and the others are not touched after it', async () => {
  const [first] = await machines(2)
  first?.take(600)
  await expect(targetOf().deploy(call(), await write('new'))).rejects.toMatchObject({ code: 'ERR_OUTSIDE_BUSY' })
})

test('without the store the newest version is asked for, and that of another app is not used', async () => {
  const [machine] = await machines(1, { staleHost: true })
  await write('new')
  expect(await targetOf().deploy(call(), {})).toMatchObject({ replaced: 1 })
  await write('newer')
  await targetOf().deploy(call(), { fly: 'another-app@999999' })
  expect(machine?.env.KEY).toBe('newer')
})

test('pauses are made where there were too many calls', async () => {
  const all = await machines(6)
  const versions = await write('new')
  double.limited = true
  await targetOf({ atOnce: 3 }).deploy(call(), versions)
  expect(new Set(keys(all))).toEqual(new Set(['new']))
})

test('machines of consoles and release commands are left alone', async () => {
  const [machine, console] = await machines(2)
  if (console !== undefined) console.config = { ...console.config, metadata: { fly_process_group: 'fly_app_console' } }
  expect(await targetOf().deploy(call(), await write('new'))).toMatchObject({ machines: 1 })
  expect([machine?.env.KEY, console?.env.KEY]).toEqual(['new', undefined])
})

test('a check finds a wrong login and an app without machines', async () => {
  expect(await targetOf().check(call())).toMatchObject([{ severity: 'warning' }])
  await machines(1)
  expect(await targetOf().check(call())).toEqual([])
  expect(await targetOf({ token: { env: 'WRONG' } }).check(call())).toMatchObject([{ severity: 'fault' }])
})
