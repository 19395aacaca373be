import { type Account, region } from './account.ts'
import { AwsError } from './aws-error.ts'
import type { Input, Operation, Service } from './offer.ts'
import { query } from './query.ts'

/** How long a master password may be. */
const mostCharacters = { postgres: 128, mysql: 41, mariadb: 41, 'sqlserver-se': 128, 'oracle-se2': 30 } as const

/** A database instance, and what the test does when its password takes effect. */
export interface DbInstance {
  readonly id: string
  readonly engine: keyof typeof mostCharacters | 'aurora-postgresql'
  readonly masterUserName: string
  readonly host?: string
  readonly port?: number
  /** RDS keeps the password itself in Secrets Manager: nobody else may set it. */
  readonly managesPassword?: boolean
  /** The new password takes effect now, as when a test changes the role of a real database. */
  setPassword(password: string): Promise<void>
}

type State = DbInstance & {
  status: string
  /** How often the instance is still described before the password takes effect. */
  pending: { readonly password: string; left: number; done: boolean } | null
}

/** RDS, as far as master passwords go. What is asynchronous proceeds with each description, and only then. */
export class Rds implements Service {
  readonly name = 'rds'
  readonly regions = [region]
  readonly protocol = query({ version: '2014-10-31', namespace: 'http://rds.amazonaws.com/doc/2014-10-31/' })
  readonly throttled = new AwsError('Throttling', 400, 'Rate exceeded')
  readonly failed = new AwsError('InternalFailure', 500, 'The request processing has failed because of an unknown error.')
  /** So many descriptions show a change as pending: half of them while the status still says `available`. */
  pendingDescriptions = 2
  readonly #instances = new Map<string, State>()
  readonly #account: Account

  constructor(account: Account) {
    this.#account = account
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    DescribeDBInstances: async (input) => {
      const id = input.text('DBInstanceIdentifier')
      const states = id === null ? [...this.#instances.values()] : [this.#find(id)]
      for (const state of states) await proceed(state)
      return { DBInstances: { DBInstance: states.map((state) => this.#describe(state)) } }
    },
    ModifyDBInstance: (input) => ({ DBInstance: this.#modify(input) }),
  }

  add(instance: DbInstance): void {
    this.#instances.set(instance.id, { ...instance, status: 'available', pending: null })
  }

  /** Another status than `available`, as during a maintenance. */
  setStatus(id: string, status: string): void {
    this.#find(id).status = status
  }

  #find(id: string): State {
    const state = this.#instances.get(id.toLowerCase())
    if (state === undefined) throw new AwsError('DBInstanceNotFound', 404, `DBInstance ${id} not found.`)
    return state
  }

  #modify(input: Input): object {
    const state = this.#find(input.required('DBInstanceIdentifier'))
    const password = input.text('MasterUserPassword')
    if (state.status !== 'available')
      throw new AwsError('InvalidDBInstanceState', 400, `Database instance is not in available state: ${state.status}`)
    if (password === null) return this.#describe(state)
    if (state.managesPassword || state.engine === 'aurora-postgresql')
      throw new AwsError('InvalidParameterCombination', 400, 'MasterUserPassword can’t be set for this instance.')
    assertPassword(password, mostCharacters[state.engine])
    // Whatever ApplyImmediately says: a password does not wait for the window.
    state.pending = { password, left: this.pendingDescriptions, done: false }
    return this.#describe(state)
  }

  #describe({ id, engine, masterUserName, host, port, status, pending, managesPassword }: State): object {
    return {
      DBInstanceIdentifier: id,
      DBInstanceArn: `arn:aws:rds:${region}:${this.#account.id}:db:${id}`,
      Engine: engine,
      DBInstanceStatus: status,
      MasterUsername: masterUserName,
      ...(host !== undefined && { Endpoint: { Address: host, Port: port } }),
      ...(managesPassword && { MasterUserSecret: { SecretStatus: 'active' } }),
      PendingModifiedValues: pending === null ? {} : { MasterUserPassword: '****' },
    }
  }
}

async function proceed(state: State): Promise<void> {
  const { pending } = state
  if (pending === null) return
  if (pending.left > 0) {
    if (--pending.left === 0) state.status = 'resetting-master-credentials'
    return
  }
  await state.setPassword(pending.password)
  state.pending = null
  state.status = 'available'
}

function assertPassword(password: string, most: number): void {
  if (password.length < 8 || password.length > most)
    throw new AwsError('InvalidParameterValue', 400, `The parameter MasterUserPassword must be from 8 to ${most} characters long.`)
  if (!/^[!-~]+$/.test(password) || /[/"@]/.test(password))
    throw new AwsError('InvalidParameterValue', 400, 'Only printable ASCII characters besides / @ " and space may be used.')
}
