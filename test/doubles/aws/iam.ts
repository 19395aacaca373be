import { type AccessKey, type Account, region } from './account.ts'
import { AwsError } from './aws-error.ts'
import type { Caller, Input, Operation, Service } from './offer.ts'
import { query } from './query.ts'

/** Inactive ones count, too. */
const KEYS_PER_USER = 2

/** IAM, as far as keys of users go. */
export function iam(account: Account): Service {
  const keys = new Keys(account)
  const operations: Record<string, Operation> = {
    GetUser: (input, caller) => {
      const name = keys.userNameOf(input, caller)
      const { id, arn } = keys.user(name)
      return { User: { Path: '/', UserName: name, UserId: id, Arn: arn, CreateDate: new Date(0) } }
    },
    CreateAccessKey: (input, caller) => keys.create(keys.userNameOf(input, caller)),
    ListAccessKeys: (input, caller) => keys.list(keys.userNameOf(input, caller), input),
    UpdateAccessKey: (input, caller) => {
      const status = input.required('Status')
      if (status !== 'Active' && status !== 'Inactive') throw new AwsError('ValidationError', 400, 'Status must be Active or Inactive')
      account.changeKey(keys.find(input.required('AccessKeyId'), keys.userNameOf(input, caller)), { status })
      return {}
    },
    DeleteAccessKey: (input, caller) => {
      account.changeKey(keys.find(input.required('AccessKeyId'), keys.userNameOf(input, caller)), { deleted: true })
      return {}
    },
    GetAccessKeyLastUsed: (input) => keys.lastUsed(input.required('AccessKeyId')),
  }
  return {
    name: 'iam',
    // Global, and signed for us-east-1; an SDK that is given an address signs for the region it was given.
    regions: ['us-east-1', region],
    protocol: query({ version: '2010-05-08', namespace: 'https://iam.amazonaws.com/doc/2010-05-08/' }),
    throttled: new AwsError('Throttling', 400, 'Rate exceeded'),
    failed: new AwsError('ServiceFailure', 500, 'The request processing has failed because of an unknown error.'),
    operations,
  }
}

class Keys {
  readonly #account: Account
  /** What IAM's own readers do not see yet. */
  readonly #unlisted = new Map<AccessKey, number>()
  readonly #lastUsed = new Map<AccessKey, { readonly known: AccessKey['lastUsed']; left: number }>()

  constructor(account: Account) {
    this.#account = account
  }

  userNameOf(input: Input, caller: Caller): string {
    const name = input.text('UserName') ?? caller.userName
    if (name === null) throw new AwsError('ValidationError', 400, 'Must specify userName when calling with non-User credentials')
    return name
  }

  user(name: string) {
    const user = this.#account.user(name)
    if (user === null) throw new AwsError('NoSuchEntity', 404, `The user with name ${name} cannot be found.`)
    return user
  }

  create(userName: string): object {
    this.user(userName)
    if (this.#account.keysOf(userName).length >= KEYS_PER_USER)
      throw new AwsError('LimitExceeded', 409, `Cannot exceed quota for AccessKeysPerUser: ${KEYS_PER_USER}`)
    const { activated, unlisted } = this.#account.propagation
    const key = this.#account.addKey(userName, activated)
    this.#unlisted.set(key, unlisted)
    const { id, status, secret, createdAt } = key
    return { AccessKey: { UserName: userName, AccessKeyId: id, Status: status, SecretAccessKey: secret, CreateDate: createdAt } }
  }

  find(id: string, userName: string): AccessKey {
    this.user(userName)
    const key = this.#account.key(id)
    if (key?.userName !== userName) throw new AwsError('NoSuchEntity', 404, `The Access Key with id ${id} cannot be found.`)
    return key
  }

  list(userName: string, input: Input): object {
    this.user(userName)
    const seen = this.#account.keysOf(userName).filter((key) => {
      const left = this.#unlisted.get(key) ?? 0
      this.#unlisted.set(key, left - 1)
      return left <= 0
    })
    const from = Number(input.text('Marker') ?? 0)
    const page = seen.slice(from, from + Math.min(input.number('MaxItems') ?? 100, this.#account.perPage))
    const isTruncated = from + page.length < seen.length
    return {
      IsTruncated: isTruncated,
      ...(isTruncated && { Marker: String(from + page.length) }),
      UserName: userName,
      AccessKeyMetadata: {
        member: page.map(({ id, status, createdAt }) => ({ UserName: userName, AccessKeyId: id, Status: status, CreateDate: createdAt })),
      },
    }
  }

  lastUsed(id: string): object {
    const key = this.#account.key(id)
    if (key === null) throw new AwsError('NoSuchEntity', 404, `The Access Key with id ${id} cannot be found.`)
    const used = this.#known(key)
    const lastUsed =
      used === null ? { Region: 'N/A', ServiceName: 'N/A' } : { LastUsedDate: used.at, Region: 'us-east-1', ServiceName: used.service }
    return { UserName: key.userName, AccessKeyLastUsed: lastUsed }
  }

  /** A use becomes known after so many questions as `propagation` says. */
  #known(key: AccessKey): AccessKey['lastUsed'] {
    const before = this.#lastUsed.get(key) ?? { known: null, left: this.#account.propagation.lastUsed }
    const isLate = before.known !== key.lastUsed && before.left > 0
    const known = isLate ? before.known : key.lastUsed
    this.#lastUsed.set(key, { known, left: isLate ? before.left - 1 : this.#account.propagation.lastUsed })
    return known
  }
}
