import { randomUUID } from 'node:crypto'
import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { startAws } from './aws/aws.ts'
import type { Lambda } from './aws/rotating.ts'

const day = 86_400_000
let now = Date.parse('2026-01-01T00:00:00Z')
const aws = await startAws({ clock: () => new Date(now) })
const client = new SecretsManager({
  region: 'eu-central-1',
  endpoint: aws.endpoint,
  maxAttempts: 1,
  credentials: { accessKeyId: aws.env.AWS_ACCESS_KEY_ID ?? '', secretAccessKey: aws.env.AWS_SECRET_ACCESS_KEY ?? '' },
})
const { rotations } = aws.secrets

afterEach(() => {
  aws.faults.clear()
  rotations.cleansPending = true
})
afterAll(() => aws.stop())

const [pending, current, previous] = ['AWSPENDING', 'AWSCURRENT', 'AWSPREVIOUS']
let secrets = 0
/** A secret of the test's own, with one version. */
async function newSecret(SecretString = 'first'): Promise<{ readonly SecretId: string; readonly first: string }> {
  const { Name = '', VersionId = '' } = await client.createSecret({ Name: `secret-${++secrets}`, SecretString })
  return { SecretId: Name, first: VersionId }
}
async function put(SecretId: string, SecretString: string, more: { token?: string; stages?: string[] } = {}): Promise<string> {
  const { token = randomUUID(), stages } = more
  const VersionStages = stages === undefined ? {} : { VersionStages: stages }
  return (await client.putSecretValue({ SecretId, SecretString, ClientRequestToken: token, ...VersionStages })).VersionId ?? ''
}
const stages = async (SecretId: string) => (await client.describeSecret({ SecretId })).VersionIdsToStages
const parameterError = { name: 'InvalidParameterException', $metadata: { httpStatusCode: 400 } }
const requestError = { name: 'InvalidRequestException', $metadata: { httpStatusCode: 400 } }
const notFound = { name: 'ResourceNotFoundException', $metadata: { httpStatusCode: 400 } }
const exists = { name: 'ResourceExistsException', $metadata: { httpStatusCode: 400 } }

describe('versions and labels', () => {
  test('the first version is the current one; a value that is put takes AWSCURRENT, and AWSPREVIOUS follows', async () => {
    const { SecretId, first } = await newSecret()
    expect(await stages(SecretId)).toEqual({ [first]: [current] })
    const second = await put(SecretId, 'second')
    expect(await stages(SecretId)).toEqual({ [first]: [previous], [second]: [current] })
    const third = await put(SecretId, 'third')
    expect(await stages(SecretId)).toEqual({ [second]: [previous], [third]: [current] })
    expect(await client.getSecretValue({ SecretId })).toMatchObject({ SecretString: 'third', VersionId: third, VersionStages: [current] })
    expect(await client.getSecretValue({ SecretId, VersionStage: previous })).toMatchObject({ SecretString: 'second' })
  })

  test('a version without a label is deprecated: it can be read by its id until it goes', async () => {
    const { SecretId, first } = await newSecret()
    await put(SecretId, 'second')
    await put(SecretId, 'third')
    const ids = async (IncludeDeprecated: boolean) =>
      (await client.listSecretVersionIds({ SecretId, IncludeDeprecated })).Versions?.map(({ VersionId }) => VersionId)
    expect(await ids(false)).not.toContain(first)
    expect(await ids(true)).toContain(first)
    expect(await client.getSecretValue({ SecretId, VersionId: first })).toMatchObject({ SecretString: 'first' })
    aws.secrets.secret(SecretId).versions.purge()
    await expect(client.getSecretValue({ SecretId, VersionId: first })).rejects.toMatchObject(notFound)
  })

  test('of the deprecated ones a hundred are kept, and all of the last day', async () => {
    const { SecretId, first } = await newSecret()
    const { versions } = aws.secrets.secret(SecretId)
    for (let number = 0; number < 105; number++) versions.put(randomUUID(), { SecretString: `${number}` }, [current ?? ''])
    expect(versions.get(first)).not.toBeNull()
    now += 2 * day
    await put(SecretId, 'last')
    expect(versions.get(first)).toBeNull()
    expect(versions.all.filter(({ stages }) => stages.size === 0)).toHaveLength(100)
  })

  test('the same id with the same content changes nothing, not even labels; with another content it is refused', async () => {
    const { SecretId, first } = await newSecret()
    const token = randomUUID()
    await put(SecretId, 'second', { token, stages: [pending ?? ''] })
    expect(await put(SecretId, 'second', { token })).toBe(token)
    expect(await stages(SecretId)).toEqual({ [first]: [current], [token]: [pending] })
    await expect(put(SecretId, 'other', { token })).rejects.toMatchObject(exists)
  })

  test('a secret is made once: again with the same id and content, never with another', async () => {
    const [Name, ClientRequestToken] = [`made-${++secrets}`, randomUUID()]
    const made = await client.createSecret({ Name, ClientRequestToken, SecretString: 'a' })
    expect(await client.createSecret({ Name, ClientRequestToken, SecretString: 'a' })).toMatchObject({ VersionId: made.VersionId })
    await expect(client.createSecret({ Name, ClientRequestToken, SecretString: 'b' })).rejects.toMatchObject(exists)
    await expect(client.createSecret({ Name, SecretString: 'a' })).rejects.toMatchObject(exists)
    expect(await client.getSecretValue({ SecretId: made.ARN })).toMatchObject({ Name })
    expect(await client.getSecretValue({ SecretId: made.ARN?.slice(0, -7) })).toMatchObject({ Name })
  })

  test('a secret without a value takes its first as the current one, whatever its label', async () => {
    const { Name: SecretId = '' } = await client.createSecret({ Name: `empty-${++secrets}` })
    await expect(client.getSecretValue({ SecretId })).rejects.toMatchObject(notFound)
    const first = await put(SecretId, 'first', { stages: [pending ?? ''] })
    expect((await stages(SecretId))?.[first]?.toSorted()).toEqual([current, pending])
  })

  test('bytes come back as bytes; text and bytes together, too much, and a short id are refused', async () => {
    const { SecretId } = await newSecret()
    await client.putSecretValue({ SecretId, SecretBinary: Uint8Array.of(0, 255) })
    expect((await client.getSecretValue({ SecretId })).SecretBinary).toEqual(Uint8Array.of(0, 255))
    const both = { SecretId, SecretString: 'x', SecretBinary: Uint8Array.of(1) }
    await expect(client.putSecretValue(both)).rejects.toMatchObject(parameterError)
    await expect(put(SecretId, 'x'.repeat(65_537))).rejects.toMatchObject(parameterError)
    await expect(put(SecretId, 'x', { token: 'short' })).rejects.toMatchObject(parameterError)
  })

  test('an id and a label must mean the same version', async () => {
    const { SecretId, first } = await newSecret()
    await put(SecretId, 'second')
    expect(await client.getSecretValue({ SecretId, VersionId: first, VersionStage: previous })).toMatchObject({ SecretString: 'first' })
    await expect(client.getSecretValue({ SecretId, VersionId: first, VersionStage: current })).rejects.toMatchObject(requestError)
    await expect(client.getSecretValue({ SecretId, VersionStage: 'NOBODY' })).rejects.toMatchObject(notFound)
    await expect(client.getSecretValue({ SecretId: 'nothing' })).rejects.toMatchObject(notFound)
  })

  test('a new label is not found for a while; the id of its version is', async () => {
    const { SecretId } = await newSecret()
    aws.secrets.secret(SecretId).staleReads = 1
    const token = await put(SecretId, 'second', { stages: [pending ?? ''] })
    await expect(client.getSecretValue({ SecretId, VersionStage: pending })).rejects.toMatchObject(notFound)
    expect(await client.getSecretValue({ SecretId, VersionId: token })).toMatchObject({ SecretString: 'second' })
    expect(await client.getSecretValue({ SecretId, VersionStage: pending })).toMatchObject({ SecretString: 'second' })
  })
})

describe('moving a label', () => {
  test('takes it only from the version that is named', async () => {
    const { SecretId, first } = await newSecret()
    const second = await put(SecretId, 'second', { stages: [pending ?? ''] })
    const third = await put(SecretId, 'third', { stages: ['MINE'] })
    const move = (RemoveFromVersionId?: string) =>
      client.updateSecretVersionStage({ SecretId, VersionStage: current, MoveToVersionId: second, RemoveFromVersionId })
    await expect(move()).rejects.toMatchObject(parameterError)
    await expect(move(third)).rejects.toMatchObject(parameterError)
    expect(await stages(SecretId)).toEqual({ [first]: [current], [second]: [pending], [third]: ['MINE'] })
    await move(first)
    expect(await stages(SecretId)).toEqual({ [first]: [previous], [second]: [pending, current], [third]: ['MINE'] })
    // The second time it is not there any more.
    await expect(move(first)).rejects.toMatchObject(parameterError)
  })

  test('back is how a value is rolled back: the bad one becomes AWSPREVIOUS', async () => {
    const { SecretId, first } = await newSecret()
    const second = await put(SecretId, 'second')
    const back = { SecretId, VersionStage: current, MoveToVersionId: first, RemoveFromVersionId: second }
    await client.updateSecretVersionStage(back)
    expect(await stages(SecretId)).toEqual({ [first]: [current], [second]: [previous] })
  })

  test('nowhere removes it, except AWSCURRENT', async () => {
    const { SecretId, first } = await newSecret()
    const second = await put(SecretId, 'second', { stages: [pending ?? ''] })
    await client.updateSecretVersionStage({ SecretId, VersionStage: pending, RemoveFromVersionId: second })
    expect(await stages(SecretId)).toEqual({ [first]: [current] })
    const remove = { SecretId, VersionStage: current, RemoveFromVersionId: first }
    await expect(client.updateSecretVersionStage(remove)).rejects.toMatchObject(parameterError)
    await expect(client.updateSecretVersionStage({ SecretId, VersionStage: 'X' })).rejects.toMatchObject(parameterError)
    const nowhere = { SecretId, VersionStage: 'X', MoveToVersionId: randomUUID() }
    await expect(client.updateSecretVersionStage(nowhere)).rejects.toMatchObject(notFound)
  })
})

describe('a secret that is scheduled for deletion', () => {
  test('is described and restored, and nothing else', async () => {
    const { SecretId, first } = await newSecret()
    await client.deleteSecret({ SecretId, RecoveryWindowInDays: 7 })
    expect((await client.describeSecret({ SecretId })).DeletedDate).toEqual(new Date(now))
    for (const call of [
      () => client.getSecretValue({ SecretId }),
      () => put(SecretId, 'second'),
      () => client.rotateSecret({ SecretId }),
      () => client.updateSecretVersionStage({ SecretId, VersionStage: 'X', MoveToVersionId: first }),
      () => client.createSecret({ Name: SecretId, SecretString: 'x' }),
    ])
      await expect(call()).rejects.toMatchObject(requestError)
    await client.restoreSecret({ SecretId })
    expect(await client.getSecretValue({ SecretId })).toMatchObject({ SecretString: 'first' })
  })
})

describe('rotation by a function', () => {
  /** What the template of AWS does, through the API; `log` in passing. */
  const template: Lambda = async ({ SecretId, ClientRequestToken, Step }) => {
    const labels = (await stages(SecretId))?.[ClientRequestToken] ?? []
    if (labels.includes('AWSCURRENT')) return
    if (!labels.includes('AWSPENDING')) throw new Error('not set as AWSPENDING')
    if (Step === 'createSecret') {
      const read = { SecretId, VersionId: ClientRequestToken, VersionStage: pending }
      const missing = await client.getSecretValue(read).then(
        () => null,
        ({ name }) => name,
      )
      if (missing === 'ResourceNotFoundException')
        await put(SecretId, `value of ${ClientRequestToken}`, { token: ClientRequestToken, stages: ['AWSPENDING'] })
    }
    if (Step !== 'finishSecret') return
    const [from] = Object.entries((await stages(SecretId)) ?? {}).find(([, names]) => names.includes('AWSCURRENT')) ?? []
    const move = { VersionStage: current, MoveToVersionId: ClientRequestToken, RemoveFromVersionId: from }
    await client.updateSecretVersionStage({ SecretId, ...move })
  }
  const arnOf = (name: string) => `arn:aws:lambda:eu-central-1:111122223333:function:${name}`
  /** A function that works until a step that the test names. */
  function lambda(failsAt?: string): { readonly arn: string; fails: boolean } {
    const made = { arn: arnOf(`rotate-${++secrets}`), fails: true }
    rotations.lambdas.set(made.arn, async (event) => {
      if (made.fails && event.Step === failsAt) throw new Error(`${failsAt} does not work`)
      await template(event)
    })
    return made
  }
  const settled = (SecretId: string) => rotations.settled(aws.secrets.secret(SecretId))
  const stepsOf = (token: string) => rotations.invocations.filter((one) => one.token === token).map(({ step, outcome }) => [step, outcome])

  test('makes the placeholder first, calls the four steps, and cleans AWSPENDING away', async () => {
    const { SecretId, first } = await newSecret()
    const ClientRequestToken = randomUUID()
    const seen = Promise.withResolvers<unknown>()
    const RotationLambdaARN = arnOf('watched')
    rotations.lambdas.set(RotationLambdaARN, async (event) => {
      if (event.Step === 'createSecret')
        seen.resolve([
          event,
          await stages(SecretId),
          await client.getSecretValue({ SecretId, VersionStage: pending }).catch((error) => error.name),
        ])
      await template(event)
    })
    expect((await client.describeSecret({ SecretId })).RotationEnabled).toBeUndefined()
    const RotationRules = { AutomaticallyAfterDays: 90 }
    const answer = await client.rotateSecret({ SecretId, ClientRequestToken, RotationLambdaARN, RotationRules })
    expect(answer.VersionId).toBe(ClientRequestToken)
    expect(await seen.promise).toEqual([
      { SecretId: answer.ARN, ClientRequestToken, Step: 'createSecret' },
      { [first]: [current], [ClientRequestToken]: [pending] },
      'ResourceNotFoundException',
    ])
    await settled(SecretId)
    expect(stepsOf(ClientRequestToken).flat()).toEqual(['createSecret', 'ok', 'setSecret', 'ok', 'testSecret', 'ok', 'finishSecret', 'ok'])
    expect(await stages(SecretId)).toEqual({ [first]: [previous], [ClientRequestToken]: [current] })
    expect(await client.describeSecret({ SecretId })).toMatchObject({
      RotationEnabled: true,
      RotationLambdaARN,
      RotationRules,
      LastRotatedDate: new Date(now),
      NextRotationDate: new Date(now + 90 * day),
    })
  })

  test('may leave AWSPENDING on the current version; the next rotation begins all the same', async () => {
    rotations.cleansPending = false
    const { SecretId } = await newSecret()
    const [RotationLambdaARN, one, two] = [lambda().arn, randomUUID(), randomUUID()]
    await client.rotateSecret({ SecretId, RotationLambdaARN, ClientRequestToken: one })
    await settled(SecretId)
    expect((await stages(SecretId))?.[one]?.toSorted()).toEqual([current, pending])
    await client.rotateSecret({ SecretId, ClientRequestToken: two })
    await settled(SecretId)
    expect(await stages(SecretId)).toMatchObject({ [one]: [previous] })
  })

  test('which fails leaves AWSPENDING on an empty version, and is in the way of the next until it is tried again', async () => {
    const { SecretId, first } = await newSecret()
    const broken = lambda('createSecret')
    const ClientRequestToken = randomUUID()
    await client.rotateSecret({ SecretId, RotationLambdaARN: broken.arn, ClientRequestToken })
    await settled(SecretId)
    expect(stepsOf(ClientRequestToken)).toEqual([['createSecret', 'failed']])
    expect(await stages(SecretId)).toEqual({ [first]: [current], [ClientRequestToken]: [pending] })
    await expect(client.getSecretValue({ SecretId, VersionStage: pending })).rejects.toMatchObject(notFound)
    await expect(client.rotateSecret({ SecretId })).rejects.toMatchObject(requestError)
    await expect(client.rotateSecret({ SecretId, ClientRequestToken })).rejects.toMatchObject(requestError)
    broken.fails = false
    rotations.reattempt(aws.secrets.secret(SecretId))
    await settled(SecretId)
    expect(await stages(SecretId)).toEqual({ [first]: [previous], [ClientRequestToken]: [current] })
  })

  test('which is cancelled leaves its labels, and names the version that they stand on', async () => {
    const { SecretId } = await newSecret()
    const [RotationLambdaARN, ClientRequestToken] = [arnOf('cancelled'), randomUUID()]
    const [began, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    rotations.lambdas.set(RotationLambdaARN, async (event) => {
      await template(event)
      began.resolve()
      await goOn.promise
    })
    await client.rotateSecret({ SecretId, RotationLambdaARN, ClientRequestToken })
    await began.promise
    expect(await client.cancelRotateSecret({ SecretId })).toMatchObject({ VersionId: ClientRequestToken })
    goOn.resolve()
    await settled(SecretId)
    expect(stepsOf(ClientRequestToken)).toEqual([
      ['createSecret', 'ok'],
      ['setSecret', 'cancelled'],
    ])
    expect(await client.describeSecret({ SecretId })).toMatchObject({
      RotationEnabled: false,
      VersionIdsToStages: { [ClientRequestToken]: [pending] },
    })
  })

  test('needs a function; not at once means that only testSecret is called, on a version that goes again', async () => {
    const { SecretId, first } = await newSecret()
    await expect(client.rotateSecret({ SecretId, RotationRules: { AutomaticallyAfterDays: 30 } })).rejects.toMatchObject(requestError)
    const unknown = { SecretId, RotationLambdaARN: arnOf('unknown') }
    await expect(client.rotateSecret(unknown)).rejects.toMatchObject({ name: 'AccessDeniedException' })
    const ClientRequestToken = randomUUID()
    await client.rotateSecret({ SecretId, RotationLambdaARN: lambda().arn, RotateImmediately: false, ClientRequestToken })
    await settled(SecretId)
    expect(stepsOf(ClientRequestToken)).toEqual([['testSecret', 'ok']])
    expect(await stages(SecretId)).toEqual({ [first]: [current] })
  })

  test('by days or by a schedule, not both; a value that is put by hand counts for the schedule', async () => {
    const { SecretId } = await newSecret()
    const RotationLambdaARN = lambda().arn
    const both = { AutomaticallyAfterDays: 30, ScheduleExpression: 'rate(12 hours)' }
    await expect(client.rotateSecret({ SecretId, RotationLambdaARN, RotationRules: both })).rejects.toMatchObject(parameterError)
    await client.rotateSecret({ SecretId, RotationLambdaARN, RotationRules: { AutomaticallyAfterDays: 30 } })
    await settled(SecretId)
    now += 10 * day
    await put(SecretId, 'by hand')
    expect((await client.describeSecret({ SecretId })).NextRotationDate).toEqual(new Date(now + 30 * day))
  })
})

describe('faults', () => {
  test('a value that was put, though the answer was lost, is put again with the same id', async () => {
    const { SecretId } = await newSecret()
    const token = randomUUID()
    aws.faults.add({ operation: 'PutSecretValue', kind: 'drop' })
    await expect(put(SecretId, 'second', { token })).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await put(SecretId, 'second', { token })).toBe(token)
    expect(Object.keys((await stages(SecretId)) ?? {})).toHaveLength(2)
  })

  test('have the words of the service', async () => {
    const { SecretId } = await newSecret()
    aws.faults.add({ kind: 'throttle' }, { kind: 'fail' })
    await expect(client.describeSecret({ SecretId })).rejects.toMatchObject({
      name: 'ThrottlingException',
      $metadata: { httpStatusCode: 400 },
    })
    await expect(client.describeSecret({ SecretId })).rejects.toMatchObject({
      name: 'InternalServiceError',
      $metadata: { httpStatusCode: 500 },
    })
    const stranger = new SecretsManager({
      region: 'eu-central-1',
      endpoint: aws.endpoint,
      maxAttempts: 1,
      credentials: { accessKeyId: 'AKIAUNKNOWN000000000', secretAccessKey: 'x'.repeat(40) },
    })
    await expect(stranger.describeSecret({ SecretId })).rejects.toMatchObject({ name: 'UnrecognizedClientException' })
  })

  test('no value is on record', async () => {
    const { SecretId } = await newSecret('a-value-nobody-may-see')
    await put(SecretId, 'another-value-nobody-may-see')
    expect(JSON.stringify(aws.calls)).toContain(SecretId)
    expect(JSON.stringify(aws.calls)).not.toContain('nobody-may-see')
  })
})
