import { Account, region } from './account.ts'
import { ElastiCache } from './elasticache.ts'
import { Endpoint } from './endpoint.ts'
import { iam } from './iam.ts'
import { Rds } from './rds.ts'
import { SecretsManager } from './secretsmanager.ts'
import { sts } from './sts.ts'

/** An AWS on this machine: IAM, STS, Secrets Manager, RDS and ElastiCache of one account, at one address. */
export interface AwsDouble {
  /** For all services: which one is meant stands in the request. */
  readonly endpoint: string
  /** Variables under which an SDK finds the credentials of the operator, and the address. */
  readonly env: { readonly [name: string]: string }
  readonly account: Account
  readonly secrets: SecretsManager
  readonly rds: Rds
  readonly elasticache: ElastiCache
  readonly faults: Endpoint['faults']
  /** Every call in its order, without any value. */
  readonly calls: Endpoint['calls']
  /** So many connections were made. */
  readonly connections: number
  /** Nobody listens any more, as when the network is down. */
  stop(): Promise<void>
  /** Listens again, at the same address. */
  start(): Promise<void>
}

/**
 * Starts a double; the caller stops it.
 *
 * @param clock - for the dates in answers; nothing else depends on it
 */
export async function startAws({ clock = () => new Date() }: { readonly clock?: () => Date } = {}): Promise<AwsDouble> {
  const account = new Account(clock)
  account.addUser('operator')
  const operator = account.addKey('operator')
  const secrets = new SecretsManager(account)
  const rds = new Rds(account)
  const elasticache = new ElastiCache(account)
  const endpoint = new Endpoint(account, [iam(account), sts(account), secrets, rds, elasticache])
  await endpoint.start()
  return {
    endpoint: endpoint.url,
    env: {
      AWS_ACCESS_KEY_ID: operator.id,
      AWS_SECRET_ACCESS_KEY: operator.secret,
      AWS_REGION: region,
      AWS_ENDPOINT_URL: endpoint.url,
    },
    account,
    secrets,
    rds,
    elasticache,
    faults: endpoint.faults,
    calls: endpoint.calls,
    get connections() {
      return endpoint.connections
    },
    stop: () => endpoint.stop(),
    start: () => endpoint.start(),
  }
}
