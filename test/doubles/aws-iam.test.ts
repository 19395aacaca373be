import { IAM } from '@aws-sdk/client-iam'
import { STS } from '@aws-sdk/client-sts'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { type AwsDouble, startAws } from './aws/aws.ts'

const aws: AwsDouble = await startAws()
const region = 'eu-central-1'
const signedBy = (accessKeyId: string, secretAccessKey: string, sessionToken?: string) => ({
  region,
  endpoint: aws.endpoint,
  maxAttempts: 1,
  credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
})
const operator = new IAM(signedBy(aws.env.AWS_ACCESS_KEY_ID ?? '', aws.env.AWS_SECRET_ACCESS_KEY ?? ''))
const identity = (id: string, secret: string) => new STS(signedBy(id, secret)).getCallerIdentity({})

let users = 0
/** A user of the test's own. */
function newUser(): string {
  return aws.account.addUser(`user-${++users}`).name
}
async function createKey(UserName: string): Promise<{ readonly id: string; readonly secret: string }> {
  const { AccessKey } = await operator.createAccessKey({ UserName })
  return { id: AccessKey?.AccessKeyId ?? '', secret: AccessKey?.SecretAccessKey ?? '' }
}
const listed = async (UserName: string) =>
  (await operator.listAccessKeys({ UserName })).AccessKeyMetadata?.map((key) => [key.AccessKeyId, key.Status])

afterEach(() => {
  aws.faults.clear()
  Object.assign(aws.account.propagation, { activated: [], ended: [], unlisted: 0, lastUsed: 0 })
})
afterAll(() => aws.stop())

describe('keys of users', () => {
  test('a user has two keys at most, and inactive ones count', async () => {
    const UserName = newUser()
    const [first, second] = [await createKey(UserName), await createKey(UserName)]
    await operator.updateAccessKey({ UserName, AccessKeyId: first.id, Status: 'Inactive' })
    const refusal = { name: 'LimitExceededException', Code: 'LimitExceeded', $metadata: { httpStatusCode: 409 } }
    await expect(createKey(UserName)).rejects.toMatchObject({ ...refusal, message: 'Cannot exceed quota for AccessKeysPerUser: 2' })
    await operator.deleteAccessKey({ UserName, AccessKeyId: first.id })
    expect(await listed(UserName)).toEqual([[second.id, 'Active']])
    await createKey(UserName)
  })

  test('a key of another user is not found, nor is one that is gone, nor a user who does not exist', async () => {
    const [UserName, other] = [newUser(), newUser()]
    const { id } = await createKey(UserName)
    const notFound = { name: 'NoSuchEntityException', $metadata: { httpStatusCode: 404 } }
    await expect(operator.deleteAccessKey({ UserName: other, AccessKeyId: id })).rejects.toMatchObject(notFound)
    await operator.deleteAccessKey({ UserName, AccessKeyId: id })
    await expect(operator.deleteAccessKey({ UserName, AccessKeyId: id })).rejects.toMatchObject(notFound)
    await expect(operator.getAccessKeyLastUsed({ AccessKeyId: id })).rejects.toMatchObject(notFound)
    await expect(operator.listAccessKeys({ UserName: 'nobody' })).rejects.toMatchObject(notFound)
    expect(await listed(UserName)).toEqual([])
  })

  test('without a name the user who calls is meant; with temporary credentials the name is needed', async () => {
    const UserName = newUser()
    const own = await createKey(UserName)
    const self = new IAM(signedBy(own.id, own.secret))
    expect((await self.listAccessKeys({})).AccessKeyMetadata).toMatchObject([{ UserName, AccessKeyId: own.id }])
    expect((await self.getUser({})).User).toMatchObject({ UserName, Arn: `arn:aws:iam::111122223333:user/${UserName}` })
    const { accessKeyId, secretAccessKey, sessionToken } = aws.account.addSession('deployer')
    const inRole = new IAM(signedBy(accessKeyId, secretAccessKey, sessionToken))
    await expect(inRole.listAccessKeys({})).rejects.toMatchObject({ name: 'ValidationError' })
    expect((await inRole.listAccessKeys({ UserName })).AccessKeyMetadata).toHaveLength(1)
    await expect(new IAM(signedBy(accessKeyId, secretAccessKey)).getUser({ UserName })).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
    })
  })

  test('a list comes in pages', async () => {
    const UserName = newUser()
    const [first, second] = [await createKey(UserName), await createKey(UserName)]
    const page = await operator.listAccessKeys({ UserName, MaxItems: 1 })
    expect(page).toMatchObject({ IsTruncated: true, AccessKeyMetadata: [{ AccessKeyId: first.id }] })
    const rest = await operator.listAccessKeys({ UserName, ...(page.Marker !== undefined && { Marker: page.Marker }) })
    expect(rest).toMatchObject({ IsTruncated: false, AccessKeyMetadata: [{ AccessKeyId: second.id }] })
  })

  test('a new key may be missing in a list for a while, and counts all the same', async () => {
    aws.account.propagation.unlisted = 1
    const UserName = newUser()
    const { id } = await createKey(UserName)
    aws.account.addKey(UserName)
    expect(await listed(UserName)).not.toContainEqual([id, 'Active'])
    await expect(createKey(UserName)).rejects.toMatchObject({ name: 'LimitExceededException' })
    expect(await listed(UserName)).toContainEqual([id, 'Active'])
  })

  test('the last use is that of a call which was accepted, and is known some time later', async () => {
    aws.account.propagation.lastUsed = 1
    const { id, secret } = await createKey(newUser())
    const lastUsed = async () => (await operator.getAccessKeyLastUsed({ AccessKeyId: id })).AccessKeyLastUsed
    expect(await lastUsed()).toEqual({ Region: 'N/A', ServiceName: 'N/A' })
    await expect(identity(id, 'x'.repeat(40))).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' })
    expect(await lastUsed()).not.toHaveProperty('LastUsedDate')
    await identity(id, secret)
    expect(await lastUsed()).not.toHaveProperty('LastUsedDate')
    expect(await lastUsed()).toMatchObject({ ServiceName: 'sts', LastUsedDate: expect.any(Date) })
  })
})

describe('who calls', () => {
  test('is proved with the secret that IAM holds', async () => {
    const UserName = newUser()
    const { id, secret } = await createKey(UserName)
    expect(await identity(id, secret)).toMatchObject({ Account: '111122223333', Arn: `arn:aws:iam::111122223333:user/${UserName}` })
    const refused = { $metadata: { httpStatusCode: 403 } }
    await expect(identity(id, `${secret}x`)).rejects.toMatchObject({ ...refused, name: 'SignatureDoesNotMatch' })
    await expect(identity('AKIAUNKNOWN000000000', secret)).rejects.toMatchObject({ ...refused, name: 'InvalidClientTokenId' })
    const response = await fetch(aws.endpoint, {
      method: 'POST',
      body: new URLSearchParams({ Action: 'GetCallerIdentity', Version: '2011-06-15' }),
    })
    expect([response.status, await response.text()]).toEqual([403, expect.stringContaining('<Code>MissingAuthenticationToken</Code>')])
  })

  test('a new key is known some calls later, and may be forgotten once more', async () => {
    aws.account.propagation.activated = [false, true, false]
    const { id, secret } = await createKey(newUser())
    const outcomes = []
    for (let call = 0; call < 5; call++)
      outcomes.push(
        await identity(id, secret).then(
          () => 'ok',
          ({ name }) => name,
        ),
      )
    expect(outcomes).toEqual(['InvalidClientTokenId', 'ok', 'InvalidClientTokenId', 'ok', 'ok'])
  })

  test.each(['Inactive', 'deleted'])('a key that is %s goes on to be accepted for some calls', async (how) => {
    aws.account.propagation.ended = [true, true]
    const UserName = newUser()
    const { id, secret } = await createKey(UserName)
    if (how === 'deleted') await operator.deleteAccessKey({ UserName, AccessKeyId: id })
    else await operator.updateAccessKey({ UserName, AccessKeyId: id, Status: 'Inactive' })
    await identity(id, secret)
    await identity(id, secret)
    await expect(identity(id, secret)).rejects.toMatchObject({ name: 'InvalidClientTokenId' })
    if (how === 'deleted') return
    await operator.updateAccessKey({ UserName, AccessKeyId: id, Status: 'Active' })
    await identity(id, secret)
  })
})

describe('faults', () => {
  test('a response that is dropped: the key exists, and the caller does not know', async () => {
    const UserName = newUser()
    aws.faults.add({ operation: 'CreateAccessKey', kind: 'drop' })
    await expect(createKey(UserName)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await listed(UserName)).toHaveLength(1)
    aws.faults.add({ operation: 'CreateAccessKey', kind: 'reset' })
    await expect(createKey(UserName)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await listed(UserName)).toHaveLength(1)
  })

  test('too many calls, and failures before and after the work, with the words of the service', async () => {
    const UserName = newUser()
    aws.faults.add({ service: 'iam', kind: 'throttle' }, { service: 'iam', kind: 'fail' }, { service: 'iam', kind: 'fail-late' })
    await expect(createKey(UserName)).rejects.toMatchObject({ name: 'Throttling', $metadata: { httpStatusCode: 400 } })
    await expect(createKey(UserName)).rejects.toMatchObject({ name: 'ServiceFailureException', $metadata: { httpStatusCode: 500 } })
    expect(aws.account.keysOf(UserName)).toHaveLength(0)
    await expect(createKey(UserName)).rejects.toMatchObject({ name: 'ServiceFailureException' })
    expect(aws.account.keysOf(UserName)).toHaveLength(1)
  })

  test('a call that is never answered, and one that is answered when the test says so', async () => {
    const UserName = newUser()
    aws.faults.add({ operation: 'CreateAccessKey', kind: 'silent-late' })
    const abortSignal = new AbortController()
    const silent = operator.createAccessKey({ UserName }, { abortSignal: abortSignal.signal })
    await expect.poll(() => aws.account.keysOf(UserName).length).toBe(1)
    abortSignal.abort()
    await expect(silent).rejects.toMatchObject({ name: 'AbortError' })
    const until = Promise.withResolvers<void>()
    aws.faults.add({ operation: 'CreateAccessKey', kind: 'slow', until: until.promise })
    const slow = createKey(UserName)
    await expect.poll(() => aws.account.keysOf(UserName).length).toBe(2)
    until.resolve()
    expect((await slow).id).toMatch(/^AKIA/)
  })

  test('a fault is for the calls that it names', async () => {
    const UserName = newUser()
    aws.faults.add({ operation: 'ListAccessKeys', kind: 'fail', after: 1, times: 2 })
    await listed(UserName)
    await expect(listed(UserName)).rejects.toThrow()
    await createKey(UserName)
    await expect(listed(UserName)).rejects.toThrow()
    expect(await listed(UserName)).toHaveLength(1)
  })

  test('every call is on record, and no value is', async () => {
    const UserName = newUser()
    const before = aws.calls.length
    aws.faults.add({ operation: 'DeleteAccessKey', kind: 'throttle' })
    const { id, secret } = await createKey(UserName)
    await operator.deleteAccessKey({ UserName, AccessKeyId: id }).catch(() => {})
    const by = aws.env.AWS_ACCESS_KEY_ID
    expect(aws.calls.slice(before)).toEqual([
      { service: 'iam', operation: 'CreateAccessKey', by, ids: { UserName }, outcome: 'ok', fault: null },
      {
        service: 'iam',
        operation: 'DeleteAccessKey',
        by: '',
        ids: { UserName, AccessKeyId: id },
        outcome: 'Throttling',
        fault: 'throttle',
      },
    ])
    expect(JSON.stringify(aws.calls)).not.toContain(JSON.stringify(secret).slice(1, -1))
  })

  test('one that is down answers again at the same address', async () => {
    const UserName = newUser()
    await aws.stop()
    await expect(listed(UserName)).rejects.toThrow()
    await aws.start()
    expect(await listed(UserName)).toEqual([])
  })
})
