import { ElastiCache } from '@aws-sdk/client-elasticache'
import { RDS } from '@aws-sdk/client-rds'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { startAws } from './aws/aws.ts'
import type { DbInstance } from './aws/rds.ts'

const aws = await startAws()
const options = {
  region: 'eu-central-1',
  endpoint: aws.endpoint,
  maxAttempts: 1,
  credentials: { accessKeyId: aws.env.AWS_ACCESS_KEY_ID ?? '', secretAccessKey: aws.env.AWS_SECRET_ACCESS_KEY ?? '' },
}
const rds = new RDS(options)
const elasticache = new ElastiCache(options)

afterEach(() => {
  aws.faults.clear()
  aws.elasticache.rotatesToKnown = false
})
afterAll(() => aws.stop())

const wrongValue = { Code: 'InvalidParameterValue', $metadata: { httpStatusCode: 400 } }
const wrongCombination = { Code: 'InvalidParameterCombination', $metadata: { httpStatusCode: 400 } }

describe('RDS', () => {
  let instances = 0
  /** An instance, and the passwords that took effect. */
  function newInstance(more: Partial<DbInstance> = {}): { readonly id: string; readonly applied: string[] } {
    const [id, applied] = [`db-${++instances}`, [] as string[]]
    const setPassword = async (password: string) => void applied.push(password)
    aws.rds.add({ id, engine: 'postgres', masterUserName: 'app', host: '127.0.0.1', port: 5432, setPassword, ...more })
    return { id, applied }
  }
  const modify = (DBInstanceIdentifier: string, MasterUserPassword: string) =>
    rds.modifyDBInstance({ DBInstanceIdentifier, MasterUserPassword, ApplyImmediately: true })
  const describeOne = async (DBInstanceIdentifier: string) => {
    const { DBInstances: [one] = [] } = await rds.describeDBInstances({ DBInstanceIdentifier })
    return [one?.DBInstanceStatus, one?.PendingModifiedValues?.MasterUserPassword ?? null]
  }

  test('a password takes effect some time later, and is never shown', async () => {
    const { id, applied } = newInstance()
    const { DBInstance } = await modify(id, 'a-new-password')
    expect(DBInstance).toMatchObject({ DBInstanceStatus: 'available', PendingModifiedValues: { MasterUserPassword: '****' } })
    // First the status says nothing of it: only what is pending does.
    expect(await describeOne(id)).toEqual(['available', '****'])
    expect(await describeOne(id)).toEqual(['resetting-master-credentials', '****'])
    expect(applied).toEqual([])
    await expect(modify(id, 'another-password')).rejects.toMatchObject({ name: 'InvalidDBInstanceStateFault' })
    expect(await describeOne(id)).toEqual(['available', null])
    expect(applied).toEqual(['a-new-password'])
    expect(JSON.stringify(aws.calls)).not.toContain('a-new-password')
  })

  test.each(['short', 'with/slash', 'with"quote', 'with@sign', 'with space', 'with-ümlaut', 'x'.repeat(129)])(
    '%s is no password',
    async (password) => {
      await expect(modify(newInstance().id, password)).rejects.toMatchObject(wrongValue)
    },
  )

  test('how long it may be depends on the engine', async () => {
    await modify(newInstance().id, 'x'.repeat(128))
    await modify(newInstance({ engine: 'mysql' }).id, 'x'.repeat(41))
    await expect(modify(newInstance({ engine: 'mysql' }).id, 'x'.repeat(42))).rejects.toMatchObject(wrongValue)
    await expect(modify(newInstance({ engine: 'oracle-se2' }).id, 'x'.repeat(31))).rejects.toMatchObject(wrongValue)
  })

  test('Aurora, and an instance whose password RDS keeps itself, are refused', async () => {
    await expect(modify(newInstance({ engine: 'aurora-postgresql' }).id, 'a-new-password')).rejects.toMatchObject(wrongCombination)
    await expect(modify(newInstance({ managesPassword: true }).id, 'a-new-password')).rejects.toMatchObject(wrongCombination)
  })

  test('an instance that does not exist, and one that is not available', async () => {
    const { id } = newInstance()
    await expect(modify('nothing', 'a-new-password')).rejects.toMatchObject({
      name: 'DBInstanceNotFoundFault',
      $metadata: { httpStatusCode: 404 },
    })
    aws.rds.setStatus(id, 'backing-up')
    await expect(modify(id, 'a-new-password')).rejects.toMatchObject({ name: 'InvalidDBInstanceStateFault' })
  })

  test('an answer that is lost: the password changes all the same', async () => {
    const { id, applied } = newInstance()
    aws.faults.add({ service: 'rds', operation: 'ModifyDBInstance', kind: 'drop' })
    await expect(modify(id, 'a-new-password')).rejects.toMatchObject({ code: 'ECONNRESET' })
    for (let times = 0; times < 3; times++) await describeOne(id)
    expect(applied).toEqual(['a-new-password'])
  })
})

describe('AUTH tokens of ElastiCache', () => {
  let groups = 0
  const [one, two, three] = ['1'.repeat(16), '2'.repeat(16), '3'.repeat(16)] as const
  /** A group, and what it accepts. */
  function newGroup(token: string | null = one, transitEncryption = true) {
    const group = { id: `group-${++groups}`, tokens: token === null ? [] : [token], open: token === null }
    const setTokens = async (tokens: readonly string[], open: boolean) => void Object.assign(group, { tokens, open })
    aws.elasticache.addGroup({ id: group.id, token, transitEncryption, setTokens })
    return group
  }
  const modify = (ReplicationGroupId: string, AuthToken: string, AuthTokenUpdateStrategy: 'ROTATE' | 'SET' | 'DELETE' = 'ROTATE') =>
    elasticache.modifyReplicationGroup({ ReplicationGroupId, AuthToken, AuthTokenUpdateStrategy, ApplyImmediately: true })
  const describeOne = async (ReplicationGroupId: string) => {
    const { ReplicationGroups: [group] = [] } = await elasticache.describeReplicationGroups({ ReplicationGroupId })
    return [group?.Status, group?.PendingModifiedValues?.AuthTokenStatus ?? null]
  }
  /** Describes it until the change is done. */
  const settle = async (id: string) => {
    while ((await describeOne(id))[0] !== 'available');
  }

  test('ROTATE adds a token and keeps the last, some time later; a third drives out the oldest', async () => {
    const group = newGroup()
    await modify(group.id, two)
    expect(group.tokens).toEqual([one])
    expect(await describeOne(group.id)).toEqual(['modifying', 'ROTATING'])
    await expect(modify(group.id, three)).rejects.toMatchObject({ name: 'InvalidReplicationGroupStateFault' })
    await settle(group.id)
    expect(group.tokens).toEqual([one, two])
    await modify(group.id, three)
    await settle(group.id)
    expect(group.tokens).toEqual([two, three])
  })

  test('SET leaves one token, which has to be that of the last ROTATE', async () => {
    const group = newGroup()
    await expect(modify(group.id, one, 'SET')).rejects.toMatchObject(wrongCombination)
    await modify(group.id, two)
    await settle(group.id)
    await expect(modify(group.id, one, 'SET')).rejects.toMatchObject(wrongValue)
    await modify(group.id, two, 'SET')
    expect(await describeOne(group.id)).toEqual(['modifying', 'SETTING'])
    await settle(group.id)
    expect(group).toMatchObject({ tokens: [two], open: false })
  })

  test('a group without AUTH accepts the new token, or none, until SET', async () => {
    const group = newGroup(null)
    await modify(group.id, one)
    await settle(group.id)
    expect(group).toMatchObject({ tokens: [one], open: true })
    await modify(group.id, one, 'SET')
    await settle(group.id)
    expect(group).toMatchObject({ tokens: [one], open: false })
  })

  test('a token that the group has already is refused, or becomes its last: both are kept ready', async () => {
    const group = newGroup()
    await modify(group.id, two)
    await settle(group.id)
    await expect(modify(group.id, one)).rejects.toMatchObject(wrongValue)
    aws.elasticache.rotatesToKnown = true
    await modify(group.id, one)
    await settle(group.id)
    expect(group.tokens).toEqual([two, one])
  })

  test.each(['short', 'x'.repeat(129), 'with-a-slash-/-inside', 'with a space inside it'])('%s is no token', async (token) => {
    await expect(modify(newGroup().id, token)).rejects.toMatchObject(wrongValue)
  })

  test('what a token needs: encryption in transit, a group, and no DELETE', async () => {
    await expect(modify(newGroup(one, false).id, two)).rejects.toMatchObject(wrongCombination)
    await expect(modify(newGroup().id, two, 'DELETE')).rejects.toMatchObject(wrongCombination)
    await expect(modify('nothing', two)).rejects.toMatchObject({
      name: 'ReplicationGroupNotFoundFault',
      $metadata: { httpStatusCode: 404 },
    })
    expect(JSON.stringify(aws.calls)).not.toContain(two)
  })
})

describe('users of ElastiCache', () => {
  const [one, two] = ['a'.repeat(16), 'b'.repeat(16)] as const

  test('have two passwords at most, and the list is replaced as a whole, some time later', async () => {
    let accepted: readonly string[] = [one]
    const setPasswords = async (passwords: readonly string[]) => {
      accepted = passwords
    }
    aws.elasticache.addUser({ id: 'u-1', name: 'app', passwords: [one], setPasswords })
    const modify = (...Passwords: string[]) =>
      elasticache.modifyUser({ UserId: 'u-1', AuthenticationMode: { Type: 'password', Passwords } })
    await expect(modify(one, two, 'c'.repeat(16))).rejects.toMatchObject(wrongValue)
    await expect(modify('short')).rejects.toMatchObject(wrongValue)
    expect(await modify(one, two)).toMatchObject({ Status: 'modifying', Authentication: { PasswordCount: 1 } })
    await expect(modify(two)).rejects.toMatchObject({ name: 'InvalidUserStateFault' })
    const user = async () => (await elasticache.describeUsers({ UserId: 'u-1' })).Users?.[0]
    while ((await user())?.Status !== 'active');
    expect(accepted).toEqual([one, two])
    expect(await user()).toMatchObject({ Authentication: { PasswordCount: 2 } })
    await expect(elasticache.modifyUser({ UserId: 'u-2' })).rejects.toMatchObject({ name: 'UserNotFoundFault' })
  })
})
