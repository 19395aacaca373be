import { type Account, region } from './account.ts'
import { AwsError } from './aws-error.ts'
import type { Input, Operation, Service } from './offer.ts'
import { query } from './query.ts'

/** A replication group, and what the test does when its tokens change. */
export interface ReplicationGroup {
  readonly id: string
  /** The token that it begins with; null for a group without AUTH. */
  readonly token: string | null
  /** Without it, no token can be set; true unless given. */
  readonly transitEncryption?: boolean
  /** These are accepted from now on, as when a test changes the passwords of a real Redis. With `open`, no token is, too. */
  setTokens(tokens: readonly string[], open: boolean): Promise<void>
}

/** A user of the access control by roles. */
export interface CacheUser {
  readonly id: string
  readonly name: string
  readonly passwords: readonly string[]
  setPasswords(passwords: readonly string[]): Promise<void>
}

type Change = { readonly left: { count: number }; readonly apply: () => Promise<void> }
type GroupState = ReplicationGroup & {
  /** The older one first. */
  tokens: readonly string[]
  open: boolean
  rotated: string | null
  change: (Change & { readonly status: 'ROTATING' | 'SETTING' }) | null
  modifiedAt: Date | null
}
type UserState = { id: string; name: string; passwords: readonly string[]; setPasswords: CacheUser['setPasswords']; change: Change | null }

const invalid = (message: string) => new AwsError('InvalidParameterValue', 400, message)
const unfit = (message: string) => new AwsError('InvalidParameterCombination', 400, message)

/** ElastiCache, as far as AUTH tokens and passwords of users go. What is asynchronous proceeds with each description, and only then. */
export class ElastiCache implements Service {
  readonly name = 'elasticache'
  readonly regions = [region]
  readonly protocol = query({ version: '2015-02-02', namespace: 'http://elasticache.amazonaws.com/doc/2015-02-02/' })
  readonly throttled = new AwsError('Throttling', 400, 'Rate exceeded')
  readonly failed = new AwsError('InternalFailure', 500, 'The request processing has failed because of an unknown error.')
  /** So many descriptions show a change as going on. */
  pendingDescriptions = 2
  /** Whether ROTATE accepts a token that the group has already. Nobody has told us what AWS does. */
  rotatesToKnown = false
  readonly #groups = new Map<string, GroupState>()
  readonly #users = new Map<string, UserState>()
  readonly #account: Account

  constructor(account: Account) {
    this.#account = account
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    DescribeReplicationGroups: async (input) => {
      const id = input.text('ReplicationGroupId')
      const groups = id === null ? [...this.#groups.values()] : [this.#group(id)]
      for (const group of groups) await proceed(group)
      return { ReplicationGroups: { ReplicationGroup: groups.map((group) => this.#describeGroup(group)) } }
    },
    ModifyReplicationGroup: (input) => {
      const group = this.#group(input.required('ReplicationGroupId'))
      if (group.change !== null) throw new AwsError('InvalidReplicationGroupState', 400, `Replication group ${group.id} is modifying.`)
      const token = input.text('AuthToken')
      if (token !== null) this.#changeToken(group, token, input)
      return { ReplicationGroup: this.#describeGroup(group) }
    },
    DescribeUsers: async (input) => {
      const id = input.text('UserId')
      const users = id === null ? [...this.#users.values()] : [this.#user(id)]
      for (const user of users) await proceed(user)
      return { Users: { member: users.map((user) => this.#describeUser(user)) } }
    },
    ModifyUser: (input) => {
      const user = this.#user(input.required('UserId'))
      if (user.change !== null) throw new AwsError('InvalidUserState', 400, `User ${user.id} is modifying.`)
      const passwords = input.inner('AuthenticationMode')?.texts('Passwords') ?? input.texts('Passwords')
      if (passwords !== null) this.#changePasswords(user, passwords)
      return this.#describeUser(user)
    },
  }

  addGroup(group: ReplicationGroup): void {
    const state = { tokens: group.token === null ? [] : [group.token], open: group.token === null, rotated: null }
    this.#groups.set(group.id, { ...group, ...state, change: null, modifiedAt: null })
  }

  addUser(user: CacheUser): void {
    this.#users.set(user.id, { ...user, change: null })
  }

  #group(id: string): GroupState {
    const group = this.#groups.get(id)
    if (group === undefined) throw new AwsError('ReplicationGroupNotFoundFault', 404, `ReplicationGroup ${id} not found.`)
    return group
  }

  #user(id: string): UserState {
    const user = this.#users.get(id)
    if (user === undefined) throw new AwsError('UserNotFound', 404, `User ${id} not found.`)
    return user
  }

  #changeToken(group: GroupState, token: string, input: Input): void {
    const strategy = input.text('AuthTokenUpdateStrategy') ?? 'ROTATE'
    if (input.flag('ApplyImmediately') !== true) throw unfit('An AUTH token can only be changed with ApplyImmediately.')
    if (group.transitEncryption === false) throw unfit('AUTH tokens need encryption in transit.')
    if (strategy === 'DELETE') throw unfit('DELETE is possible only together with a change to RBAC.')
    if (strategy === 'SET') this.#set(group, token)
    else if (strategy === 'ROTATE') this.#rotate(group, token)
    else throw invalid('AuthTokenUpdateStrategy is ROTATE, SET or DELETE.')
  }

  #rotate(group: GroupState, token: string): void {
    if (token.length < 16 || token.length > 128 || !/^[A-Za-z0-9!&#$^<>-]+$/.test(token)) throw invalid('The AUTH token is not valid.')
    if (group.tokens.includes(token) && !this.rotatesToKnown) throw invalid('The AUTH token is too similar to a recent one.')
    // The two most recent ones: a third drives out the oldest. One that is there already becomes the most recent.
    const tokens = [...group.tokens.filter((known) => known !== token), token].slice(-2)
    this.#begin(group, 'ROTATING', { tokens, open: group.tokens.length === 0, rotated: token })
  }

  #set(group: GroupState, token: string): void {
    if (group.rotated === null) throw unfit('SET is possible only after ROTATE.')
    if (group.rotated !== token) throw invalid('The AUTH token must be the one of the last ROTATE.')
    this.#begin(group, 'SETTING', { tokens: [token], open: false, rotated: token })
  }

  #begin(group: GroupState, status: 'ROTATING' | 'SETTING', next: Pick<GroupState, 'tokens' | 'open' | 'rotated'>): void {
    const apply = async () => {
      await group.setTokens(next.tokens, next.open)
      Object.assign(group, next, { change: null, modifiedAt: this.#account.clock() })
    }
    group.change = { status, left: { count: this.pendingDescriptions }, apply }
  }

  #changePasswords(user: UserState, passwords: readonly string[]): void {
    if (passwords.length > 2) throw invalid('A user has two passwords at most.')
    if (passwords.some(({ length }) => length < 16 || length > 128)) throw invalid('A password has 16 to 128 characters.')
    const apply = async () => {
      await user.setPasswords(passwords)
      Object.assign(user, { passwords, change: null })
    }
    user.change = { left: { count: this.pendingDescriptions }, apply }
  }

  #describeGroup({ id, change, modifiedAt, tokens, transitEncryption = true }: GroupState): object {
    return {
      ReplicationGroupId: id,
      ARN: `arn:aws:elasticache:${region}:${this.#account.id}:replicationgroup:${id}`,
      Status: change === null ? 'available' : 'modifying',
      TransitEncryptionEnabled: transitEncryption,
      AuthTokenEnabled: tokens.length > 0,
      ...(modifiedAt !== null && { AuthTokenLastModifiedDate: modifiedAt }),
      PendingModifiedValues: change === null ? {} : { AuthTokenStatus: change.status },
    }
  }

  #describeUser({ id, name, passwords, change }: UserState): object {
    return {
      UserId: id,
      UserName: name,
      Status: change === null ? 'active' : 'modifying',
      Engine: 'redis',
      ARN: `arn:aws:elasticache:${region}:${this.#account.id}:user:${id}`,
      Authentication: { Type: 'password', PasswordCount: passwords.length },
    }
  }
}

async function proceed({ change }: { readonly change: Change | null }): Promise<void> {
  if (change === null) return
  if (change.left.count > 0) change.left.count--
  else await change.apply()
}
