import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { defineConfig } from '../../packages/core/src/config/config.ts'
import { isFenced } from '../../packages/core/src/rotation/fencing.ts'
import { everyKind, fast, fill, fillTokens, oneField, useThings } from './world.ts'

const world = useThings()
const { server } = world

const fenced = async (work: Promise<unknown>) =>
  await work.then(
    () => null,
    (error: unknown) => isFenced(error),
  )

test('Retired means proven: values of every kind are rewritten, the database refuses the key in every column and has checked every row', async () => {
  const keyturn = await world.open(everyKind)
  await fill(keyturn, server.pool, 12)
  const { rows: old } = await server.pool.query('SELECT * FROM things WHERE id = 1')
  await keyturn.rotate('app', fast)
  const [first] = await world.inState(keyturn, 'retiring')
  // One that nobody rewrote, of an application that was slow.
  await server.pool.query('UPDATE things SET token = $1 WHERE id = 1', [old[0].token])
  const [retirement, ...more] = await keyturn.retire('app', fast)
  expect(more).toEqual([])
  expect(retirement).toMatchObject({ keyring: 'app', versionId: first, accepted: 0, certificate: null })
  expect(retirement?.fences.map(({ column, validated, keyId }) => ({ column, validated, keyId }))).toEqual(
    expect.arrayContaining(
      ['token', 'bin', 'j', 'jb', 'jt', 'legacy', 'legacy_key'].map((column) => ({ column, validated: true, keyId: first })),
    ),
  )
  expect(retirement?.fences).toHaveLength(7)
  expect(await world.inState(keyturn, 'retired')).toEqual([first])
  for (const column of ['token', 'bin', 'j', 'jb', 'jt', 'legacy_key'])
    expect({ column, by: await fenced(server.pool.query(`UPDATE things SET ${column} = $1`, [old[0][column]])) }).toEqual({
      column,
      by: first,
    })
  expect(await keyturn.verify()).toMatchObject({ total: 72, current: 72, other: 0, failedCount: 0, fences: { missing: [] } })
  const event = (await world.events(keyturn)).find(({ action }) => action === 'version.retire')
  expect(event?.data).toMatchObject({ version: first, rotation: retirement?.rotationId, position: retirement?.position, accepted: 0 })
  // It still opens what backups hold.
  expect(await keyturn.field('things.token').decrypt(old[0].token, { id: 1 })).toBe('secret 1')
  expect(await keyturn.retire('app', fast)).toEqual([])
})

test('the application goes on under the new key while the old one is retired', async () => {
  const keyturn = await world.open(everyKind)
  await fill(keyturn, server.pool, 3)
  await keyturn.rotate('app', fast)
  await keyturn.retire('app', fast)
  const token = await keyturn.field('things.token').encrypt('new', { id: 50 })
  await server.pool.query('INSERT INTO things (id, token) VALUES (50, $1)', [token])
  await keyturn.rotate('app', fast)
  expect(await keyturn.retire('app', fast)).toHaveLength(1)
  expect((await world.versions(keyturn)).map(({ state }) => state)).toEqual(['retired', 'retired', 'active'])
  expect(await keyturn.verify()).toMatchObject({ current: 19, other: 0, failedCount: 0, fences: { missing: [] } })
})

test('several versions are retired in one call, the oldest first', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 20)
  await keyturn.rotate('app', fast)
  await keyturn.rotate('app', fast)
  const retiring = await world.inState(keyturn, 'retiring')
  expect(retiring).toHaveLength(2)
  await expect(keyturn.retire('app', { ...fast, versions: ['zzzzzzzz'] })).rejects.toMatchObject({ code: 'ERR_KEY_NOT_FOUND' })
  await expect(keyturn.retire('app', { ...fast, versions: await world.inState(keyturn, 'active') })).rejects.toMatchObject({
    code: 'ERR_KEY_STATE',
  })
  const some = await keyturn.retire('app', { ...fast, versions: [retiring[1] as string] })
  expect(some.map(({ versionId }) => versionId)).toEqual([retiring[1]])
  expect((await keyturn.retire('app', fast)).map(({ versionId }) => versionId)).toEqual([retiring[0]])
})

test('values set aside that name the key are counted, accepted by their exact number, exempted by digest, and nothing else is', async () => {
  const keyturn = await world.open(everyKind)
  await fill(keyturn, server.pool, 5)
  const [first] = await world.inState(keyturn, 'active')
  const damaged = (text: string) => `${text.slice(0, -4)}AAAA`
  const { rows } = await server.pool.query('SELECT * FROM things ORDER BY id')
  const document = JSON.stringify({ keys: [damaged(JSON.parse(rows[1].jt).keys[0])], other: 'kept' })
  await server.pool.query('UPDATE things SET token = $1 WHERE id = 1', [damaged(rows[0].token)])
  await server.pool.query('UPDATE things SET j = $1::text::json, jb = $1::text::jsonb, jt = $1::text WHERE id = 2', [document])
  await server.pool.query('UPDATE things SET legacy = $1 WHERE id = 3', [`${rows[2].legacy.slice(0, -4)}0000`])
  // Also damaged, and under no key that is to be retired: it is nobody's business here.
  await server.pool.query('UPDATE things SET legacy = $1, legacy_key = NULL WHERE id = 4', ['x'])
  await keyturn.rotate('app', { ...fast, accept: true })
  for (const acceptSetAside of [undefined, 1, 4, 6])
    await expect(keyturn.retire('app', { ...fast, ...(acceptSetAside === undefined ? {} : { acceptSetAside }) })).rejects.toMatchObject({
      code: 'ERR_SET_ASIDE',
      message: expect.stringContaining(' 5 values'),
    })
  // A refusal leaves no fence: the rows can be written.
  expect(await world.constraints()).toEqual([])
  expect(await world.inState(keyturn, 'retiring')).toEqual([first])
  const [retirement] = await keyturn.retire('app', { ...fast, acceptSetAside: 5 })
  expect(retirement).toMatchObject({ versionId: first, accepted: 5 })
  expect(JSON.stringify(retirement)).not.toContain(damaged(rows[0].token).slice(13))
  await server.pool.query(`UPDATE things SET note = 'still writable'`)
  expect(await fenced(server.pool.query('UPDATE things SET token = $1 WHERE id = 2', [rows[0].token]))).toBe(first)
  expect(await fenced(server.pool.query('UPDATE things SET legacy_key = $1 WHERE id = 5', [first]))).toBe(first)
  expect((await keyturn.verify()).fences).toEqual({ missing: [] })
  await expect(keyturn.destroy('app', first as string, { now: true })).rejects.toMatchObject({ code: 'ERR_STILL_NAMED' })
})

test('a key id that stands in a document outside the places of its fields is found by the database, and nothing is retired', async () => {
  const keyturn = await world.open(everyKind)
  await fill(keyturn, server.pool, 2)
  const { rows } = await server.pool.query('SELECT jb FROM things WHERE id = 1')
  await server.pool.query('UPDATE things SET jb = $1 WHERE id = 2', [{ ...rows[0].jb, forgotten: { deep: [rows[0].jb.keys[0]] } }])
  await keyturn.rotate('app', fast)
  await expect(keyturn.retire('app', fast)).rejects.toMatchObject({ code: 'ERR_FENCE_VALUES' })
  // Also beside a value that is set aside and accepted: its document is not exempted for what else it holds.
  const beside = { keys: [`${rows[0].jb.keys[0].slice(0, -4)}AAAA`], forgotten: rows[0].jb.keys[0] }
  await server.pool.query('UPDATE things SET jb = $1 WHERE id = 2', [beside])
  await keyturn.rotate('app', { ...fast, accept: true })
  await expect(keyturn.retire('app', { ...fast, acceptSetAside: 0 })).rejects.toMatchObject({ code: 'ERR_FENCE_VALUES' })
  const { forgotten: _, ...damaged } = beside
  await server.pool.query('UPDATE things SET jb = $1 WHERE id = 2', [damaged])
  await expect(keyturn.retire('app', fast)).rejects.toMatchObject({ code: 'ERR_SET_ASIDE', message: expect.stringContaining(' 1 values') })
  expect(await world.inState(keyturn, 'retired')).toEqual([])
  expect(await world.constraints()).toEqual([])
})

test('a field that the configuration forgot is not left behind', async () => {
  const keyturn = await world.open(everyKind)
  await fill(keyturn, server.pool, 2)
  await keyturn.rotate('app', fast)
  const { 'things.bin': bin, ...others } = everyKind.fields
  const less = await world.open({ ...everyKind, fields: others })
  await expect(less.retire('app', fast)).rejects.toMatchObject({
    code: 'ERR_FIELD_FORGOTTEN',
    message: expect.stringContaining('things.bin'),
  })
  const renamed = await world.open({
    ...everyKind,
    fields: { ...others, 'things.renamed': { ...(bin as object), column: 'things.bin', keyring: 'app', was: ['things.bin'] } },
  })
  expect(await renamed.retire('app', fast)).toHaveLength(1)
  await renamed.rotate('app', fast)
  await server.pool.query('ALTER TABLE things DROP COLUMN bin CASCADE')
  const afterDrop = await world.open({ ...everyKind, fields: others })
  expect(await afterDrop.retire('app', fast)).toHaveLength(1)
})

test('a field that moved leaves no values behind under the key where it stood', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 5)
  const there = { keyring: 'app', bind: ['id'] }
  const moved = await world.open({ ...oneField, fields: { 'things.token': { column: 'things.note', ...there } } })
  await server.pool.query('UPDATE things SET note = token')
  await moved.rotate('app', fast)
  await expect(moved.retire('app', fast)).rejects.toMatchObject({
    code: 'ERR_FIELD_FORGOTTEN',
    message: expect.stringContaining('things.token'),
  })
  expect(await world.inState(moved, 'retired')).toEqual([])
  await server.pool.query('UPDATE things SET token = NULL')
  const [retirement] = await moved.retire('app', fast)
  // A table put back from a copy of before: what stands there has no other key.
  await server.pool.query('UPDATE things SET token = $1 WHERE id = 1', [`kt1.${retirement?.versionId}.${'A'.repeat(38)}`])
  await expect(moved.destroy('app', retirement?.versionId ?? '', { now: true })).rejects.toMatchObject({ code: 'ERR_FIELD_FORGOTTEN' })
  await server.pool.query('UPDATE things SET token = NULL')
  await moved.destroy('app', retirement?.versionId ?? '', { now: true })
})

test('what a field left behind in a format that it does not read any more is found before its key is retired', async () => {
  const before = await world.open({ ...oneField, fields: { 'things.legacy': { column: 'things.legacy', keyring: 'app' } } })
  await server.pool.query('INSERT INTO things (id, legacy) VALUES (1, $1)', [await before.field('things.legacy').encrypt('secret')])
  const fields = { 'things.legacy': { column: 'things.legacy', keyring: 'app', writes: 'hex-colon', keyId: 'legacy_key' } }
  const keyturn = await world.open({ ...oneField, fields })
  const { value, keyId } = await keyturn.field('things.legacy').encryptKeyed('secret')
  await server.pool.query('INSERT INTO things (id, legacy, legacy_key) VALUES (2, $1, $2)', [value, keyId])
  await keyturn.rotate('app', { ...fast, accept: true })
  await expect(keyturn.retire('app', fast)).rejects.toMatchObject({ code: 'ERR_SET_ASIDE', message: expect.stringContaining(' 1 values') })
  const [retirement] = await keyturn.retire('app', { ...fast, acceptSetAside: 1 })
  expect(retirement?.fences.map(({ column }) => column).sort()).toEqual(['legacy', 'legacy_key'])
  await expect(keyturn.destroy('app', keyId, { now: true })).rejects.toMatchObject({ code: 'ERR_STILL_NAMED' })
})

test('values that share a key id are not rotated one without the other', async () => {
  const shared = (column: string) => ({ column, keyring: 'app', writes: 'hex-colon', keyId: 'legacy_key' })
  const fields = { 'things.legacy': shared('things.legacy'), 'things.note': shared('public.things.note') }
  const keyturn = await world.open({ ...oneField, fields })
  const [legacy, note] = await Promise.all(Object.keys(fields).map((name) => keyturn.field(name).encryptKeyed(name)))
  await server.pool.query('INSERT INTO things (id, legacy, note, legacy_key) VALUES (1, $1, $2, $3)', [
    legacy?.value,
    note?.value,
    note?.keyId,
  ])
  for (const one of Object.keys(fields)) {
    await expect(keyturn.plan('app', { fields: [one] })).rejects.toMatchObject({ code: 'ERR_USAGE' })
    await expect(keyturn.rotate('app', { ...fast, fields: [one] })).rejects.toMatchObject({ code: 'ERR_USAGE' })
  }
  await keyturn.rotate('app', { ...fast, fields: Object.keys(fields) })
  expect(await keyturn.verify()).toMatchObject({ total: 2, current: 2 })
})

test('a whole json column that is one value set aside is accepted like any other', async () => {
  const fields = { 'things.j': { column: 'things.j', keyring: 'app' }, 'things.jb': { column: 'things.jb', keyring: 'app' } }
  const keyturn = await world.open({ ...oneField, fields })
  for (const [id, end] of [
    [1, ''],
    [2, 'AAAA'],
  ] as const) {
    const [j, jb] = await Promise.all(['things.j', 'things.jb'].map((name) => keyturn.field(name).encrypt('secret')))
    const stored = [j, jb].map((value) => `${String(value).slice(0, -4)}${end || String(value).slice(-4)}`)
    await server.pool.query('INSERT INTO things (id, j, jb) VALUES ($1, to_json($2::text), to_jsonb($3::text))', [id, ...stored])
  }
  await keyturn.rotate('app', { ...fast, accept: true })
  await expect(keyturn.retire('app', fast)).rejects.toMatchObject({ code: 'ERR_SET_ASIDE', message: expect.stringContaining(' 2 values') })
  expect(await keyturn.retire('app', { ...fast, acceptSetAside: 2 })).toMatchObject([{ accepted: 2 }])
})

test('a field of another keyring that still reads this one is rewritten and fenced with it', async () => {
  const before = await world.open()
  await fillTokens(before, server.pool, 10)
  const moved = defineConfig({
    ...oneField,
    keyrings: { ...oneField.keyrings, vault: oneField.keyrings.app as never },
    fields: {
      'things.token': { column: 'things.token', keyring: 'vault', bind: ['id'], reads: [{ codec: 'kt1', keyring: 'app' }] },
      'things.legacy': { column: 'things.legacy', keyring: 'app' },
    },
  })
  const keyturn = await world.open(moved)
  const [first] = await world.inState(keyturn, 'active')
  await keyturn.rotate('app', fast)
  expect(await keyturn.verify({ keyring: 'vault' })).toMatchObject({ other: 10 })
  const [retirement] = await keyturn.retire('app', fast)
  expect(retirement?.fences.map(({ column }) => column).sort()).toEqual(['legacy', 'token'])
  expect(await keyturn.verify()).toMatchObject({ total: 10, current: 10 })
  const { rows } = await server.pool.query(`SELECT count(*)::int4 AS old FROM things WHERE token LIKE 'kt1.' || $1 || '.%'`, [first])
  expect(rows).toEqual([{ old: 0 }])
})

test('two values beside one key id are guarded and accepted each for itself, and an id whose value is gone names nothing', async () => {
  const config = {
    ...oneField,
    fields: {
      'things.legacy': { column: 'things.legacy', keyring: 'app', writes: 'hex-colon', keyId: 'legacy_key' },
      'things.note': { column: 'things.note', keyring: 'app', writes: 'hex-colon', keyId: 'legacy_key' },
    },
  }
  const keyturn = await world.open(config)
  const [first] = (await world.inState(keyturn, 'active')) as [string]
  const seal = async (name: string) => (await keyturn.field(name).encryptKeyed('secret')).value as string
  for (const id of [1, 2, 3])
    await server.pool.query('INSERT INTO things (id, legacy, note, legacy_key) VALUES ($1, $2, $3, $4)', [
      id,
      await seal('things.legacy'),
      await seal('things.note'),
      first,
    ])
  await server.pool.query(`UPDATE things SET note = left(note, -4) || '0000' WHERE id = 1`)
  await server.pool.query('UPDATE things SET legacy = NULL, note = NULL WHERE id = 3')
  await keyturn.rotate('app', { ...fast, accept: true })
  const refused = await keyturn.retire('app', fast).catch((error: Error) => error.message)
  const count = Number(/: (\d+) values/.exec(String(refused))?.[1])
  expect(count).toBeGreaterThan(0)
  const [retirement] = await keyturn.retire('app', { ...fast, acceptSetAside: count })
  expect(retirement?.fences.map(({ column }) => column).sort()).toEqual(['legacy', 'legacy_key', 'legacy_key', 'note'])
  const back = (id: number, column: string) =>
    fenced(server.pool.query(`UPDATE things SET legacy_key = $1, ${column} = 'x' WHERE id = $2`, [first, id]))
  for (const [id, column] of [
    [1, 'legacy'],
    [2, 'legacy'],
    [2, 'note'],
    [3, 'note'],
  ] as const)
    expect({ id, column, by: await back(id, column) }).toEqual({ id, column, by: first })
})

test('what names no key cannot be retired: keys from the environment, and formats without a key id', async () => {
  const environment = await world.open(
    {
      refreshMs: 100,
      keyrings: { app: { primary: { env: 'KEY' }, keyRule: 'hex' } },
      fields: { 'things.legacy': { column: 'things.legacy', keyring: 'app', writes: 'hex-colon' } },
    },
    { env: { KEY: randomBytes(32).toString('hex') } },
  )
  await expect(environment.retire('app')).rejects.toMatchObject({ code: 'ERR_FENCE_NONE' })
  const nameless = await world.open({
    ...oneField,
    fields: { 'things.legacy': { column: 'things.legacy', keyring: 'app', writes: 'hex-colon' } },
  })
  await nameless.rotate('app', fast)
  await expect(nameless.retire('app', fast)).rejects.toMatchObject({
    code: 'ERR_FENCE_NONE',
    message: expect.stringContaining('things.legacy'),
  })
  expect(await world.constraints()).toEqual([])
})

test.each(['waiting-for-readers', 'rewriting'])(
  'nothing is retired while a rotation is unfinished that was paused while %s',
  async (phase) => {
    const keyturn = await world.open()
    await fillTokens(keyturn, server.pool, 10)
    await keyturn.rotate('app', fast)
    const stop = new AbortController()
    const onProgress = (report: { phase: string }) => report.phase === phase && stop.abort()
    const paused = await keyturn.rotate('app', { ...fast, signal: stop.signal, onProgress })
    expect(paused.state).toBe('paused')
    await expect(keyturn.retire('app', fast)).rejects.toMatchObject({ code: 'ERR_ROTATION_RUNNING' })
    expect((await keyturn.status('app')).rotations[0]).toMatchObject({ id: paused.id, state: 'paused' })
    await keyturn.resume(paused.id, fast)
    expect(await keyturn.retire('app', fast)).toHaveLength(2)
  },
)

test('a retirement that is interrupted leaves no run behind and is begun again', async () => {
  const keyturn = await world.open()
  await fillTokens(keyturn, server.pool, 50)
  await keyturn.rotate('app', fast)
  for (const wait of [true, false]) {
    const stop = new AbortController()
    if (wait) stop.abort()
    const onProgress = () => stop.abort()
    await expect(keyturn.retire('app', { ...fast, signal: stop.signal, onProgress })).rejects.toMatchObject({ code: 'ERR_INTERRUPTED' })
    expect((await keyturn.status('app')).rotations.every(({ state }) => ['completed', 'cancelled'].includes(state))).toBe(true)
  }
  expect(await keyturn.retire('app', fast)).toHaveLength(1)
})
