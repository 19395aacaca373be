import { randomBytes } from 'node:crypto'
import { SecretsManager } from '@aws-sdk/client-secrets-manager'
import { Client, type Pool } from 'pg'
import type { AwsDouble } from '../../doubles/aws/aws.ts'
import type { Lambda } from '../../doubles/aws/rotating.ts'

/** A database that AWS rotates, as its consumers know it: they ask Secrets Manager at each log-in. */
export interface Warehouse {
  readonly users: readonly [string, string]
  /** What Secrets Manager gives out. */
  current(): Promise<{ readonly username: string; readonly password: string }>
  logIn(): Promise<void>
  described(): Promise<{ readonly RotationEnabled?: boolean; readonly days?: number }>
  drop(): Promise<void>
}

/**
 * Two users in Postgres, their secret in Secrets Manager, which does not rotate it yet, and the function for it.
 *
 * @param address - `127.0.0.1:5432/postgres`
 */
export async function prepareWarehouse(aws: AwsDouble, lambda: string, pool: Pool, address: string): Promise<Warehouse> {
  const [accessKeyId = '', secretAccessKey = ''] = [aws.env.AWS_ACCESS_KEY_ID, aws.env.AWS_SECRET_ACCESS_KEY]
  const manager = new SecretsManager({ region: 'eu-central-1', endpoint: aws.endpoint, credentials: { accessKeyId, secretAccessKey } })
  const [SecretId, password] = ['cloudforge/warehouse', randomBytes(18).toString('hex')]
  const users = ['warehouse_a', 'warehouse_b'] as const
  await pool.query(`CREATE ROLE ${users[0]} LOGIN PASSWORD '${password}'; CREATE ROLE ${users[1]} LOGIN`)
  const SecretString = JSON.stringify({ engine: 'postgres', username: users[0], password })
  await manager.createSecret({ Name: SecretId, SecretString })

  const holder = async () => {
    const { VersionIdsToStages = {} } = await manager.describeSecret({ SecretId })
    return Object.entries(VersionIdsToStages).find(([, stages]) => stages.includes('AWSCURRENT'))?.[0] ?? ''
  }
  const held = async (VersionId?: string): Promise<{ username: string; password: string }> =>
    JSON.parse((await manager.getSecretValue({ SecretId, ...(VersionId !== undefined && { VersionId }) })).SecretString ?? '')
  const logIn = async (as: { readonly username: string; readonly password: string }) => {
    const client = new Client({ connectionString: `postgres://${as.username}:${as.password}@${address}` })
    client.on('error', () => {})
    await client.connect()
    await client.end()
  }
  /** What the function of AWS for two users does: the other user gets a new password, is tried, and takes the label. */
  const multiUser: Lambda = async ({ ClientRequestToken, Step }) => {
    const now = await holder()
    if (now === ClientRequestToken) return
    if (Step === 'createSecret') {
      const value = await held(now)
      const next = { ...value, username: value.username === users[0] ? users[1] : users[0], password: randomBytes(18).toString('hex') }
      await manager.putSecretValue({ SecretId, ClientRequestToken, SecretString: JSON.stringify(next), VersionStages: ['AWSPENDING'] })
    }
    if (Step === 'setSecret') {
      const next = await held(ClientRequestToken)
      await pool.query(`ALTER ROLE ${next.username} PASSWORD '${next.password}'`)
    }
    if (Step === 'testSecret') await logIn(await held(ClientRequestToken))
    if (Step === 'finishSecret') {
      const move = { MoveToVersionId: ClientRequestToken, RemoveFromVersionId: now }
      await manager.updateSecretVersionStage({ SecretId, VersionStage: 'AWSCURRENT', ...move })
    }
  }
  aws.secrets.rotations.lambdas.set(lambda, multiUser)
  return {
    users,
    current: () => held(),
    logIn: async () => logIn(await held()),
    described: async () => {
      const { RotationEnabled, RotationRules } = await manager.describeSecret({ SecretId })
      return {
        ...(RotationEnabled !== undefined && { RotationEnabled }),
        ...(RotationRules?.AutomaticallyAfterDays !== undefined && { days: RotationRules.AutomaticallyAfterDays }),
      }
    },
    drop: async () => {
      manager.destroy()
      await pool.query(`DROP ROLE ${users[0]}, ${users[1]}`)
    },
  }
}
