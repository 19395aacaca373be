import { randomBytes } from 'node:crypto'
import type { Caller } from './offer.ts'

/** A long-term key of a user, as IAM keeps it. */
export interface AccessKey {
  readonly id: string
  readonly secret: string
  readonly userName: string
  readonly createdAt: Date
  status: 'Active' | 'Inactive' | 'Expired'
  deleted: boolean
  lastUsed: { readonly at: Date; readonly service: string } | null
  /** What the next calls with it find, one each, until what IAM holds is known everywhere. */
  readonly ahead: boolean[]
}

export interface User {
  readonly name: string
  readonly id: string
  readonly arn: string
}

/** Credentials of somebody in a role: with them, IAM cannot guess which user is meant. */
export interface Session {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly arn: string
}

export const region = 'eu-central-1'

/**
 * Users and keys of one account. What IAM holds is known to the other services only later: how much later is counted in calls, not in
 * seconds, so that a test meets every state and none depends on the clock.
 */
export class Account {
  readonly id = '111122223333'
  readonly clock: () => Date
  readonly propagation = {
    /** What the first calls with a new key, or one made active again, find: `[false, false, true, false]` refuses, refuses, accepts, refuses. */
    activated: [] as readonly boolean[],
    /** What the first calls with a key find that was made inactive or deleted: `[true]` accepts once more. */
    ended: [] as readonly boolean[],
    /** So many lists of keys are given that do not show a new one. */
    unlisted: 0,
    /** So many questions after the last use are answered with what was known before. */
    lastUsed: 0,
  }
  /** Of keys in one piece of a list. IAM gives fewer than it is asked for as it likes. */
  perPage = 100
  readonly #users = new Map<string, User>()
  readonly #keys = new Map<string, AccessKey>()
  readonly #sessions = new Map<string, Session>()

  constructor(clock: () => Date) {
    this.clock = clock
  }

  addUser(name: string): User {
    const user = { name, id: idOf('AIDA'), arn: `arn:aws:iam::${this.id}:user/${name}` }
    this.#users.set(name, user)
    return user
  }

  user(name: string): User | null {
    return this.#users.get(name) ?? null
  }

  /** A new key, without a look at the limit; known everywhere at once, unless something else is in `ahead`. */
  addKey(userName: string, ahead: readonly boolean[] = []): AccessKey {
    const key: AccessKey = {
      id: idOf('AKIA'),
      secret: randomBytes(30).toString('base64'),
      userName,
      createdAt: this.clock(),
      status: 'Active',
      deleted: false,
      lastUsed: null,
      ahead: [...ahead],
    }
    this.#keys.set(key.id, key)
    return key
  }

  /** The keys of a user that are not deleted, the oldest first. */
  keysOf(userName: string): readonly AccessKey[] {
    return [...this.#keys.values()].filter((key) => key.userName === userName && !key.deleted)
  }

  /** One that is not deleted; null if there is none. */
  key(id: string): AccessKey | null {
    const key = this.#keys.get(id)
    return key === undefined || key.deleted ? null : key
  }

  /** Changes what IAM holds. The other services learn it as `propagation` says. */
  changeKey(key: AccessKey, change: Partial<Pick<AccessKey, 'status' | 'deleted'>>): void {
    const wasActive = isActive(key)
    Object.assign(key, change)
    if (isActive(key) === wasActive) return
    key.ahead.splice(0, Number.POSITIVE_INFINITY, ...(isActive(key) ? this.propagation.activated : this.propagation.ended))
  }

  /** Temporary credentials of a role. */
  addSession(role: string): Session {
    const session = {
      accessKeyId: idOf('ASIA'),
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(48).toString('base64'),
      arn: `arn:aws:sts::${this.id}:assumed-role/${role}/session`,
    }
    this.#sessions.set(session.accessKeyId, session)
    return session
  }

  /** The secret with which a call has to be signed; null where the key is not accepted. Each call is one that propagation counts. */
  secretFor(id: string, token: string | null): string | null {
    const session = this.#sessions.get(id)
    if (session !== undefined) return session.sessionToken === token ? session.secretAccessKey : null
    const key = this.#keys.get(id)
    if (key === undefined || token !== null) return null
    return (key.ahead.shift() ?? isActive(key)) ? key.secret : null
  }

  /** Who holds a key that was accepted; the use is remembered. */
  callerOf(id: string, service: string): Caller {
    const key = this.#keys.get(id)
    if (key === undefined) return { accessKeyId: id, userName: null, userId: `AROA:${id}`, arn: this.#sessions.get(id)?.arn ?? '' }
    key.lastUsed = { at: this.clock(), service }
    const user = this.user(key.userName)
    return { accessKeyId: id, userName: key.userName, userId: user?.id ?? '', arn: user?.arn ?? '' }
  }
}

const isActive = ({ status, deleted }: AccessKey): boolean => status === 'Active' && !deleted

function idOf(prefix: string): string {
  return prefix + [...randomBytes(16)].map((byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte % 32]).join('')
}
