import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { startFly } from './fly.ts'
import type { Boot, Env } from './fly-machine.ts'

const fly = await startFly()
const { token } = fly.createApp('shop')

afterEach(() => {
  fly.faults.clear()
  fly.limited = false
})
afterAll(() => fly.stop())

async function ask(method: string, path: string, body?: object, headers: Record<string, string> = {}, bearer = token) {
  const answer = await fetch(`${fly.api}/apps/${path}`, {
    method,
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: (await answer.json()) as Record<string, never>, retryAfter: answer.headers.get('retry-after') }
}
const set = async (values: object) => (await ask('POST', 'shop/secrets', { values })).body.version as unknown as number
const update = (id: string, more: object = {}, headers = {}) =>
  ask('POST', `shop/machines/${id}`, { config: { image: 'shop:1', env: { PORT: '80' } }, ...more }, headers)
const digests = async () => {
  const { body } = await ask('GET', 'shop/secrets')
  return Object.fromEntries((body.secrets as unknown as { name: string; digest: string }[]).map(({ name, digest }) => [name, digest]))
}

describe('secrets', () => {
  test('a batch is one version that sets and deletes; what is not there is deleted without an error, and makes a version', async () => {
    const first = await set({ A: '1', OLD: 'x' })
    expect(await set({ A: '2', B: '3', OLD: null })).toBe(first + 1)
    expect(await set({ NEVER_THERE: null })).toBe(first + 2)
    expect(fly.secretsOf('shop')).toEqual({ A: '2', B: '3' })
  })

  test('a name that is none refuses the whole batch', async () => {
    const before = fly.secretsOf('shop')
    expect(await ask('POST', 'shop/secrets', { values: { GOOD: '1', 'not good': '2' } })).toMatchObject({ status: 422 })
    expect(fly.secretsOf('shop')).toEqual(before)
  })

  test('values cannot be read back; a digest changes with its value and only with it', async () => {
    await set({ D: 's3cret-value' })
    const before = await digests()
    const { body } = await ask('GET', 'shop/secrets?show_secrets=true')
    expect(JSON.stringify(body)).not.toContain('s3cret-value')
    await set({ D: 's3cret-value' })
    expect(await digests()).toEqual(before)
    await set({ D: 'another' })
    expect((await digests()).D).not.toBe(before.D)
  })

  test('one secret is set, shown and deleted by its name', async () => {
    expect(await ask('POST', 'shop/secrets/ONE', { value: '1' })).toMatchObject({ status: 200, body: { secrets: [{ name: 'ONE' }] } })
    expect(await ask('GET', 'shop/secrets/ONE')).toMatchObject({ status: 200, body: { name: 'ONE' } })
    expect(await ask('DELETE', 'shop/secrets/ONE')).toMatchObject({ status: 200 })
    expect(await ask('GET', 'shop/secrets/ONE')).toMatchObject({ status: 404 })
  })

  test('no value and no token is on record', async () => {
    await set({ D: 's3cret-value' })
    expect(JSON.stringify(fly.calls)).not.toMatch(new RegExp(`s3cret-value|${token}`))
  })
})

describe('tokens', () => {
  test('a token opens its own app only, also with its kind in front, until it is revoked', async () => {
    fly.createApp('bank')
    const more = fly.createToken('shop')
    expect(await ask('GET', 'bank/secrets')).toMatchObject({ status: 401 })
    expect(await ask('GET', 'shop/secrets', undefined, {}, `FlyV1 ${more}`)).toMatchObject({ status: 200 })
    fly.revokeToken(more)
    expect(await ask('GET', 'shop/secrets', undefined, {}, more)).toMatchObject({ status: 401 })
  })

  test('an app that does not exist is not found', async () => {
    expect(await ask('GET', 'nothing/secrets')).toMatchObject({ status: 404, body: { error: expect.any(String) } })
  })
})

describe('machines', () => {
  const booted: Env[] = []
  const boot: Boot = (env) => {
    booted.push(env)
    return undefined
  }

  test('a machine keeps what it booted with until it is updated; a restart does not reload', async () => {
    await set({ KEY: 'old' })
    const machine = await fly.createMachine('shop', { boot })
    await set({ KEY: 'new' })
    expect(machine.env.KEY).toBe('old')
    await ask('POST', `shop/machines/${machine.id}/restart`)
    await machine.booted
    expect(booted.at(-1)).toMatchObject({ KEY: 'old' })
    await update(machine.id)
    await machine.booted
    expect(booted.at(-1)).toMatchObject({ KEY: 'new', PORT: '80' })
  })

  test('an update replaces the config whole, and needs one', async () => {
    const machine = await fly.createMachine('shop', { env: { KEPT: 'no' } })
    expect(await ask('POST', `shop/machines/${machine.id}`, {})).toMatchObject({ status: 400 })
    await update(machine.id)
    await machine.booted
    expect(machine.env).not.toHaveProperty('KEPT')
  })

  test('a stale host boots older secrets unless the least version is named', async () => {
    await set({ KEY: 'old' })
    const [careless, careful] = [
      await fly.createMachine('shop', { staleHost: true }),
      await fly.createMachine('shop', { staleHost: true }),
    ] as const
    const version = await set({ KEY: 'new' })
    await update(careless.id)
    await update(careful.id, { min_secrets_version: version })
    await Promise.all([careless.booted, careful.booted])
    expect([careless.env.KEY, careful.env.KEY]).toEqual(['old', 'new'])
    expect(await update(careful.id, { min_secrets_version: version + 1000 })).toMatchObject({ status: 408 })
  })

  test('waiting ends when the machine runs, and with 408 when it will not', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const boots: Boot[] = [() => undefined, () => promise, () => Promise.reject(new Error('it crashed'))]
    const machine = await fly.createMachine('shop', { boot: (env) => boots.shift()?.(env) })
    const { body } = await update(machine.id)
    expect(body.state).toBe('replacing')
    const wait = ask('GET', `shop/machines/${machine.id}/wait?state=started&timeout=60&instance_id=${body.instance_id}`)
    resolve(undefined)
    expect(await wait).toMatchObject({ status: 200, body: { ok: true } })
    await update(machine.id)
    expect(await ask('GET', `shop/machines/${machine.id}/wait?state=started&timeout=60`)).toMatchObject({ status: 408 })
    const crashed = { type: 'exit', request: { exit_event: { exit_code: 1, requested_stop: false } } }
    expect(await ask('GET', `shop/machines/${machine.id}`)).toMatchObject({ body: { state: 'stopped', events: [crashed] } })
  })

  test('a machine that was stopped stays so with skip_launch, and starts with the secrets of that update', async () => {
    const machine = await fly.createMachine('shop', { stopped: true })
    const version = await set({ KEY: 'for later' })
    await update(machine.id, { skip_launch: true, min_secrets_version: version })
    expect(await ask('GET', `shop/machines/${machine.id}`)).toMatchObject({ body: { state: 'stopped' } })
    await set({ KEY: 'too late' })
    await ask('POST', `shop/machines/${machine.id}/start`)
    await machine.booted
    expect(machine.env.KEY).toBe('for later')
  })

  test('a machine can be a real process, which ends before its successor starts', async () => {
    const pids: number[] = []
    const machine = await fly.createMachine('shop', {
      boot: async (env) => {
        const child = spawn(process.execPath, ['-e', 'console.log(process.env.KEY); setInterval(() => {}, 1000)'], {
          env: { ...env },
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
        expect(line.trim()).toBe(env.KEY)
        pids.push(child.pid ?? 0)
        return {
          stop: async () => {
            child.kill('SIGKILL')
            await once(child, 'exit')
          },
        }
      },
    })
    await set({ KEY: 'in a process' })
    await update(machine.id)
    await machine.booted
    expect(machine.env.KEY).toBe('in a process')
    expect(() => process.kill(pids[0]!, 0)).toThrow()
    await machine.stop()
  })

  test('checks are those of the program that runs', async () => {
    await set({ KEY: 'bad' })
    const checks = (env: Env) => [{ name: 'http', status: env.KEY === 'bad' ? ('critical' as const) : ('passing' as const) }]
    const machine = await fly.createMachine('shop', { checks })
    expect(await ask('GET', 'shop/machines')).toMatchObject({
      body: expect.arrayContaining([
        expect.objectContaining({ id: machine.id, checks: [expect.objectContaining({ status: 'critical' })] }),
      ]),
    })
  })
})

test('who holds the lease may change a machine; others get 409', async () => {
  const machine = await fly.createMachine('shop')
  const taken = await ask('POST', `shop/machines/${machine.id}/lease`, { ttl: 600 })
  const { nonce } = taken.body.data as unknown as { nonce: string }
  const mine = { 'fly-machine-lease-nonce': nonce }
  expect(await update(machine.id)).toMatchObject({ status: 409 })
  expect(await ask('POST', `shop/machines/${machine.id}/lease`, { ttl: 600 })).toMatchObject({ status: 409 })
  expect(await update(machine.id, {}, mine)).toMatchObject({ status: 200 })
  expect(await ask('DELETE', `shop/machines/${machine.id}/lease`, undefined, mine)).toMatchObject({ status: 200 })
  expect(await update(machine.id)).toMatchObject({ status: 200 })
  machine.take(-1)
  expect(await update(machine.id)).toMatchObject({ status: 200 })
})

test('three calls of one action go through, then each second one is refused, until somebody switches it off', async () => {
  fly.limited = true
  const { token: own } = fly.createApp('fast')
  const statuses: number[] = []
  for (let call = 1; call <= 6; call++) statuses.push((await ask('GET', 'fast/secrets', undefined, {}, own)).status)
  expect(statuses).toEqual([200, 200, 200, 429, 200, 429])
  expect(await ask('GET', 'fast/machines', undefined, {}, own)).toMatchObject({ status: 200 })
})

test('a batch whose answer is lost was applied', async () => {
  fly.faults.next('secrets.update', 'drop')
  await expect(set({ LOST: 'but there' })).rejects.toThrow()
  expect(fly.secretsOf('shop').LOST).toBe('but there')
})
