import { SecretClient } from '@azure/keyvault-secrets'
import { afterAll, expect, test } from 'vitest'
import { startKeyVault } from './key-vault.ts'

const vault = await startKeyVault()
const asked: unknown[] = []
const client = (token = vault.token) =>
  new SecretClient(
    vault.origin,
    {
      getToken: async (scopes) => {
        asked.push(scopes)
        return { token, expiresOnTimestamp: Date.now() + 3_600_000 }
      },
    },
    { disableChallengeResourceVerification: true, tlsOptions: { ca: vault.ca }, retryOptions: { maxRetries: 0 } },
  )
const secrets = client()
afterAll(() => vault.stop())

test('a client without a token is told where to get one, sends nothing of the secret until then, and comes again', async () => {
  const before = vault.calls.length
  await client().setSecret('challenged', 'value')
  expect(asked).toContainEqual(['https://vault.azure.net/.default'])
  expect(vault.calls.slice(before).map(({ operation, status }) => [operation, status])).toEqual([
    ['setSecret', 401],
    ['setSecret', 200],
  ])
  await expect(client('wrong').getSecret('challenged')).rejects.toMatchObject({ statusCode: 401 })
})

test('a version that is written is at once what readers get: there is no stage', async () => {
  const first = await secrets.setSecret('app', 'one', { tags: { rotation: '1' } })
  const second = await secrets.setSecret('app', 'two')
  expect((await secrets.getSecret('app')).value).toBe('two')
  expect((await secrets.getSecret('app', { version: first.properties.version! })).value).toBe('one')
  expect(second.properties.version).toMatch(/^[0-9a-f]{32}$/)
  expect(vault.versions('app')).toEqual([
    { enabled: true, tags: { rotation: '1' } },
    { enabled: true, tags: undefined },
  ])
})

test('a newest version that is disabled is refused to readers, and none before it is given instead', async () => {
  await secrets.setSecret('off', 'one')
  const { properties } = await secrets.setSecret('off', 'two')
  await secrets.updateSecretProperties('off', properties.version!, { enabled: false })
  const refusal = await secrets.getSecret('off').catch((error: unknown) => error)
  expect(refusal).toMatchObject({ statusCode: 403, message: 'Operation get is not allowed on a disabled secret.' })
  expect(vault.value('off')).toBeNull()
  await secrets.updateSecretProperties('off', properties.version!, { enabled: true })
  expect(vault.value('off')).toBe('two')
})

test('one version cannot be deleted, only the whole secret, which can be recovered', async () => {
  const { properties } = await secrets.setSecret('gone', 'one')
  const deleting = await secrets.beginDeleteSecret('gone', { intervalInMs: 1 })
  await deleting.pollUntilDone()
  await expect(secrets.getSecret('gone')).rejects.toMatchObject({ statusCode: 404, code: 'SecretNotFound' })
  await expect(secrets.setSecret('gone', 'two')).rejects.toMatchObject({ statusCode: 409 })
  const recovering = await secrets.beginRecoverDeletedSecret('gone', { intervalInMs: 1 })
  await recovering.pollUntilDone()
  expect((await secrets.getSecret('gone', { version: properties.version! })).value).toBe('one')
})

test('versions are listed without values, page by page, and not in the order of their age', async () => {
  const made: string[] = []
  for (let number = 0; number < 5; number++) made.push((await secrets.setSecret('many', `${number}`)).properties.version!)
  const listed: string[] = []
  for await (const page of secrets.listPropertiesOfSecretVersions('many').byPage({ maxPageSize: 2 })) {
    expect(page.length).toBeLessThanOrEqual(2)
    listed.push(...page.map(({ version }) => version!))
  }
  expect(listed).toEqual(made.toSorted())
})

test.each(['with_underscore', 'with.dot'])('"%s" is no name of a secret', async (name) => {
  await expect(secrets.setSecret(name, 'value')).rejects.toMatchObject({ statusCode: 400, code: 'BadParameter' })
})

test('names are the same in capital letters', async () => {
  await secrets.setSecret('Mixed-Case', 'one')
  expect((await secrets.getSecret('mixed-case')).value).toBe('one')
})

test('a value has 25 KB at most', async () => {
  await expect(secrets.setSecret('long', 'x'.repeat(25_601))).rejects.toMatchObject({ statusCode: 400 })
})

test('a client that does not trust the authority does not connect', async () => {
  await expect(fetch(`${vault.origin}/secrets/app?api-version=7.4`)).rejects.toThrow()
})

test('an answer that is lost leaves a version behind, which its tag tells', async () => {
  await secrets.setSecret('challenge', 'is over')
  vault.faults.next('setSecret', 'drop')
  await expect(secrets.setSecret('lost', 'value', { tags: { rotation: 'lost' } })).rejects.toThrow()
  expect(vault.versions('lost')).toEqual([{ enabled: true, tags: { rotation: 'lost' } }])
})
