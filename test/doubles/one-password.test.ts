import { OnePasswordConnect } from '@1password/connect'
import { afterAll, afterEach, expect, test } from 'vitest'
import { startOnePassword } from './one-password.ts'

const double = await startOnePassword()
const vault = double.createVault('Production')
const hidden = double.createVault('Finance')
const connect = OnePasswordConnect({ serverURL: double.origin, token: double.token, keepAlive: false })
const make = (title: string) =>
  double.createItem(vault, title, [
    { label: 'username', value: 'app', purpose: 'USERNAME' },
    { label: 'credential', value: 's3cret-value', type: 'CONCEALED', section: { id: 'api', label: 'API' } },
  ])
const held = (id: string, label: string) => double.item(id).fields.find((field) => field.label === label)?.value

afterEach(() => double.faults.clear())
afterAll(() => double.stop())

async function ask(method: string, path: string, body?: unknown, token = double.token) {
  const answer = await fetch(`${double.origin}/v1/vaults${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: answer.status, body: answer.status === 204 ? null : await answer.json() }
}
const patch = (id: string, ...steps: object[]) => ask('PATCH', `/${vault}/items/${id}`, steps)

test('the SDK finds a vault and an item by title; a list shows no fields', async () => {
  const item = make('by title')
  expect(await connect.getVaultByTitle('Production')).toMatchObject({ id: vault })
  expect(await connect.getItemByTitle(vault, 'by title')).toMatchObject({ id: item.id, version: 1 })
  const { body } = await ask('GET', `/${vault}/items`)
  expect(JSON.stringify(body)).toContain('by title')
  expect(JSON.stringify(body)).not.toContain('s3cret-value')
  expect(await ask('GET', `?filter=${encodeURIComponent('name eq "Finance"')}`)).toMatchObject({ body: [{ id: hidden }] })
  expect(await ask('GET', `?filter=${encodeURIComponent('id eq "x"')}`)).toMatchObject({ status: 400 })
})

test('two items may have one title', async () => {
  make('twice')
  make('twice')
  await expect(connect.getItemByTitle(vault, 'twice')).rejects.toThrow(/multiple|more than one/i)
})

test('the SDK replaces an item whole, and the version goes up', async () => {
  const { id } = make('replaced')
  const item = await connect.getItemById(vault, id)
  for (const field of item.fields ?? []) if (field.label === 'credential') field.value = 'new'
  expect(await connect.updateItem(vault, item)).toMatchObject({ version: 2 })
  expect(held(id, 'credential')).toBe('new')
  const { status } = await ask('PUT', `/${vault}/items/${id}`, { id, vault: { id: vault }, title: 'replaced', fields: [] })
  expect([status, double.item(id).fields]).toEqual([200, []])
})

test('the last write wins: an older version is not compared', async () => {
  const { id } = make('raced')
  const [mine, theirs] = [await connect.getItemById(vault, id), await connect.getItemById(vault, id)]
  await connect.updateItem(vault, theirs)
  expect(await connect.updateItem(vault, mine)).toMatchObject({ version: 3 })
})

test('a patch names a field by its id, not by its place; all steps are done or none', async () => {
  const { id, fields } = make('patched')
  const path = `/fields/${fields[1]!.id}/value`
  expect(await patch(id, { op: 'replace', path, value: 'new' })).toMatchObject({ status: 200, body: { version: 2 } })
  expect(held(id, 'credential')).toBe('new')
  expect(await patch(id, { op: 'replace', path, value: 'x' }, { op: 'replace', path: '/fields/1/value', value: 'y' })).toMatchObject({
    status: 400,
  })
  expect(await patch(id, { op: 'move', path, value: 'x' })).toMatchObject({ status: 400 })
  expect(double.item(id)).toMatchObject({ version: 2 })
  expect(held(id, 'credential')).toBe('new')
  await patch(id, { op: 'remove', path: `/fields/${fields[1]!.id}` })
  expect(double.item(id).fields).toHaveLength(1)
})

test('labels may be there twice; a password may not, nor a section that is not there', async () => {
  const twice = [{ label: 'credential' }, { label: 'credential' }]
  const item = { title: 'odd', category: 'LOGIN', vault: { id: vault } }
  expect(await ask('POST', `/${vault}/items`, { ...item, fields: twice })).toMatchObject({ status: 200 })
  const passwords = twice.map((field) => ({ ...field, purpose: 'PASSWORD' }))
  expect(await ask('POST', `/${vault}/items`, { ...item, fields: passwords })).toMatchObject({ status: 400, body: { status: 400 } })
  const lost = [{ label: 'x', section: { id: 'nowhere' } }]
  expect(await ask('POST', `/${vault}/items`, { ...item, fields: lost })).toMatchObject({ status: 400 })
})

test('a wrong token is 401, a vault out of its sight 403, a write by a reader 403, what is not there 404', async () => {
  const { id } = make('seen')
  const reader = double.createToken([vault], 'read')
  expect(await ask('GET', '', undefined, 'none')).toEqual({ status: 401, body: { status: 401, message: 'Invalid token signature' } })
  expect(await ask('GET', `/${hidden}/items`, undefined, reader)).toMatchObject({ status: 403, body: { status: 403 } })
  expect(await ask('GET', '', undefined, reader)).toMatchObject({ body: [{ id: vault }] })
  expect(await ask('DELETE', `/${vault}/items/${id}`, undefined, reader)).toMatchObject({ status: 403 })
  expect(await ask('GET', `/${vault}/items/nothing`)).toMatchObject({ status: 404, body: { status: 404 } })
  expect(await ask('GET', `/${hidden}/items/${id}`)).toMatchObject({ status: 404 })
  double.revokeToken(reader)
  expect(await ask('GET', '', undefined, reader)).toMatchObject({ status: 401 })
})

test('what is edited in the application shows after a while', async () => {
  const { id } = make('lagging')
  double.editElsewhere(id, 'credential', 'edited', 1)
  const versions = [await connect.getItemById(vault, id), await connect.getItemById(vault, id)].map(({ version }) => version)
  expect(versions).toEqual([1, 2])
})

test('a patch whose answer is lost was applied; no value is on record', async () => {
  const { id, fields } = make('lost')
  double.faults.next('items.patch', 'drop')
  await expect(patch(id, { op: 'replace', path: `/fields/${fields[1]!.id}/value`, value: 'lost-value' })).rejects.toThrow()
  expect(held(id, 'credential')).toBe('lost-value')
  expect(JSON.stringify(double.calls)).not.toMatch(/lost-value|s3cret-value|eyJ/)
})
