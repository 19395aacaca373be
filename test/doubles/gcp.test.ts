import { JWT } from 'google-auth-library'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { startGcp } from './gcp.ts'
import { crc32c } from './gcp-secrets.ts'

const gcp = await startGcp()
beforeEach(() => {
  gcp.rules.lag = { accept: 0, refuse: 0, list: 0, pointer: 0, state: 0 }
})
afterAll(() => gcp.stop())

/** An access token by Google's library, whose token endpoint is led here. */
const login = async (keyFile: string): Promise<string> => {
  const { client_email: email, private_key: key, private_key_id: keyId } = JSON.parse(keyFile)
  const jwt = new JWT({
    email,
    key,
    keyId,
    scopes: ['https://www.googleapis.com/auth/cloud-platform'],
    transporterOptions: { retry: false },
  })
  jwt.transporter.interceptors.request.add({
    resolved: async (config) => Object.assign(config, { url: new URL(`${gcp.origin}/token`), retry: false, retryConfig: { retry: 0 } }),
  })
  return (await jwt.authorize()).access_token ?? ''
}
const works = (keyFile: string) =>
  login(keyFile).then(
    () => true,
    () => false,
  )
const token = await login(gcp.adminKeyFile)
const call = async (method: string, path: string, body?: object, bearer = token) => {
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
  const response = await fetch(`${gcp.origin}/v1/${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  return { status: response.status, body: JSON.parse(await response.text()) }
}
const keys = `projects/-/serviceAccounts/${gcp.email}/keys`
const makeKey = async () => {
  const { body } = await call('POST', keys, {})
  return { id: body.name.split('/').at(-1), file: Buffer.from(body.privateKeyData, 'base64').toString('utf8'), body }
}
const secret = (id: string) => {
  gcp.secrets.make(id)
  return `projects/${gcp.project}/secrets/${id}`
}
const add = async (name: string, text: string) => {
  const data = Buffer.from(text)
  return (await call('POST', `${name}:addVersion`, { payload: { data: data.toString('base64'), dataCrc32c: String(crc32c(data)) } })).body
}
const read = async (name: string, version: string) => {
  const { status, body } = await call('GET', `${name}/versions/${version}:access`)
  return status === 200 ? Buffer.from(body.payload.data, 'base64').toString() : `${status} ${body.error.status}`
}

test('a new key has no name and is shown once, as the file that Google’s library takes', async () => {
  const { id, file, body } = await makeKey()
  expect(body).toMatchObject({ keyType: 'USER_MANAGED', privateKeyType: 'TYPE_GOOGLE_CREDENTIALS_FILE' })
  expect(await works(file)).toBe(true)
  const listed = (await call('GET', `${keys}?keyTypes=USER_MANAGED`)).body.keys.find(({ name }: { name: string }) => name.endsWith(id))
  expect(Object.keys(listed)).not.toContain('privateKeyData')
  expect((await call('GET', keys)).body.keys.some(({ keyType }: { keyType: string }) => keyType === 'SYSTEM_MANAGED')).toBe(true)
  await call('DELETE', `${keys}/${id}`)
})

test('a token is given for what was really signed with the key, for Google, with a scope', async () => {
  const changed = { ...JSON.parse(gcp.keyFile), private_key: JSON.parse(gcp.adminKeyFile).private_key }
  expect(await works(JSON.stringify(changed))).toBe(false)
  const scope = 'https://www.googleapis.com/auth/cloud-platform'
  const wrong = new JWT({
    email: gcp.email,
    key: JSON.parse(gcp.keyFile).private_key,
    additionalClaims: { aud: 'https://example.com' },
    scopes: scope,
  })
  wrong.transporter.interceptors.request.add({
    resolved: async (config) => Object.assign(config, { url: new URL(`${gcp.origin}/token`) }),
  })
  await expect(wrong.authorize()).rejects.toThrow(/invalid_grant/)
})

test('an assertion of another hour is refused', async () => {
  gcp.rules.skew = -7_200
  expect(await works(gcp.keyFile)).toBe(false)
  gcp.rules.skew = 600
  expect(await works(gcp.keyFile)).toBe(true)
})

test('a new key is refused for some calls, and missing in some lists', async () => {
  Object.assign(gcp.rules.lag, { accept: 2, list: 1 })
  const { id, file } = await makeKey()
  const listed = async () => JSON.stringify((await call('GET', `${keys}?keyTypes=USER_MANAGED`)).body).includes(id)
  expect([await works(file), await works(file), await works(file)]).toEqual([false, false, true])
  expect([await listed(), await listed()]).toEqual([false, true])
  await call('DELETE', `${keys}/${id}`)
})

test('a key is disabled, enabled and deleted; a lag shows it as it was for some calls', async () => {
  const { id, file } = await makeKey()
  await call('POST', `${keys}/${id}:disable`, {})
  expect(await works(file)).toBe(false)
  await call('POST', `${keys}/${id}:enable`, {})
  expect(await works(file)).toBe(true)
  gcp.rules.lag.refuse = 1
  expect((await call('DELETE', `${keys}/${id}`)).body).toEqual({})
  expect([await works(file), await works(file)]).toEqual([true, false])
  expect((await call('DELETE', `${keys}/${id}`)).body.error.status).toBe('NOT_FOUND')
})

test('an account has ten keys at most, disabled ones included', async () => {
  const made: string[] = []
  for (let number = gcp.keys.live(gcp.email).length; number < 10; number++) made.push((await makeKey()).id)
  await call('POST', `${keys}/${made[0]}:disable`, {})
  expect(await call('POST', keys, {})).toMatchObject({ status: 400, body: { error: { status: 'FAILED_PRECONDITION' } } })
  for (const id of made) await call('DELETE', `${keys}/${id}`)
})

test('an account without rights is refused, a token that is none too', async () => {
  expect((await call('GET', keys, undefined, await login(gcp.keyFile))).body.error.status).toBe('PERMISSION_DENIED')
  expect((await call('GET', keys, undefined, 'none')).body.error.status).toBe('UNAUTHENTICATED')
})

test('a version is read by its number right away, by `latest` and by an alias only after some calls', async () => {
  const name = secret('lagging')
  gcp.rules.lag.pointer = 1
  expect((await add(name, 'one')).name).toMatch(/^projects\/\d+\/secrets\/lagging\/versions\/1$/)
  expect([await read(name, '1'), await read(name, 'latest'), await read(name, 'latest')]).toEqual(['one', '404 NOT_FOUND', 'one'])
  await call('PATCH', `${name}?updateMask=versionAliases`, { versionAliases: { current: '1' } })
  await read(name, 'current')
  await add(name, 'two')
  await call('PATCH', `${name}?updateMask=versionAliases`, { versionAliases: { current: '2' } })
  expect([await read(name, '2'), await read(name, 'current'), await read(name, 'current')]).toEqual(['two', 'one', 'two'])
})

test('numbers of 64 bits are strings, and a checksum that does not fit is refused', async () => {
  const name = secret('sums')
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  await add(name, '123456789')
  expect((await call('GET', `${name}/versions/1:access`)).body.payload.dataCrc32c).toBe('3808858755')
  const { body } = await call('PATCH', `${name}?updateMask=versionAliases`, { versionAliases: { current: 1 } })
  expect(body.versionAliases).toEqual({ current: '1' })
  const payload = { data: Buffer.from('x').toString('base64'), dataCrc32c: '1' }
  expect((await call('POST', `${name}:addVersion`, { payload })).body.error.status).toBe('INVALID_ARGUMENT')
})

test('a disabled version is not read, and `latest` does not fall back to the one before', async () => {
  const name = secret('states')
  await add(name, 'one')
  await add(name, 'two')
  gcp.rules.lag.state = 1
  await call('POST', `${name}/versions/2:disable`, {})
  expect([await read(name, '2'), await read(name, '2')]).toEqual(['two', '400 FAILED_PRECONDITION'])
  expect([await read(name, 'latest'), await read(name, '1')]).toEqual(['400 FAILED_PRECONDITION', 'one'])
  gcp.rules.lag.state = 0
  await call('POST', `${name}/versions/2:enable`, {})
  expect(await read(name, 'latest')).toBe('two')
  await call('POST', `${name}/versions/2:destroy`, {})
  expect((await call('POST', `${name}/versions/2:enable`, {})).body.error.status).toBe('FAILED_PRECONDITION')
  expect(gcp.secrets.states('states')).toEqual(['ENABLED', 'DESTROYED'])
})

test('an etag that is not the last one refuses the change', async () => {
  const name = secret('etags')
  const { etag } = await add(name, 'one')
  const old = (await call('GET', name)).body.etag
  const move = (versionAliases: object, tag: string) => call('PATCH', `${name}?updateMask=versionAliases`, { versionAliases, etag: tag })
  expect((await move({ current: '1' }, old)).status).toBe(200)
  expect((await move({}, old)).body.error.status).toBe('FAILED_PRECONDITION')
  await call('POST', `${name}/versions/1:disable`, { etag })
  expect((await call('POST', `${name}/versions/1:enable`, { etag })).body.error.status).toBe('FAILED_PRECONDITION')
})

test.each(['latest', 'NEW', '1st'])('%s is no alias, nor is one of a version that does not exist', async (alias) => {
  const name = secret(`alias-${alias}`)
  await add(name, 'one')
  const move = (versionAliases: object) => call('PATCH', `${name}?updateMask=versionAliases`, { versionAliases })
  expect((await move({ [alias]: '1' })).status).toBe(400)
  expect((await move({ fine: '2' })).status).toBe(400)
})

test('versions are listed page by page, the newest first', async () => {
  const name = secret('pages')
  for (const text of ['one', 'two', 'three']) await add(name, text)
  const first = (await call('GET', `${name}/versions?pageSize=2`)).body
  const second = (await call('GET', `${name}/versions?pageSize=2&pageToken=${first.nextPageToken}`)).body
  const numbers = [...first.versions, ...second.versions].map((version: { name: string }) => version.name.split('/').at(-1))
  expect([numbers, first.totalSize, second.nextPageToken]).toEqual([['3', '2', '1'], 3, undefined])
})
