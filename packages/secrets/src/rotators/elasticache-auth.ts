import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import { awsCode, awsOptions, type ClientOptions, inAws, sdk } from '../outside/aws.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { inRedis, RedisRefusal, redisAddress } from '../outside/redis.ts'
import type { Call, Finding, Verdict, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'

export const options = z.strictObject({
  ...awsOptions,
  /** The id of the replication group. */
  group: z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,49}$/, { error: 'expected the id of a replication group' }),
  /** Where its consumers log in: tokens are tried there. */
  address: redisAddress,
})

type Client = InstanceType<typeof import('@aws-sdk/client-elasticache')['ElastiCache']>
type Strategy = 'ROTATE' | 'SET'
/** A group as ElastiCache describes it. */
interface Group {
  /** Null when a token can be changed; else what it is at. */
  readonly busyWith: string | null
  readonly hasToken: boolean
  readonly isEncrypted: boolean
}

/** A change goes through all nodes: minutes, for large groups. */
const SETTLE_MS = 900_000
/** Letters and digits, of at most 128. */
const LENGTH = 64

/**
 * The AUTH token of an ElastiCache replication group. ROTATE adds the new one, so that both work; SET leaves the new one alone.
 *
 * A group has its two most recent tokens, and SET takes only the one of the last ROTATE. Giving up a new token therefore means to rotate in the old one once
 * more, and then to set it. Tokens are tried by AUTH, on connections of their own, when the group is not changing. Connections that are open outlive
 * their token. The group needs a token already, and encryption in transit. Users of RBAC are not meant: `redis-acl` is not for ElastiCache either, which
 * has no `ACL SETUSER`.
 *
 * Needs `elasticache:DescribeReplicationGroups` and `elasticache:ModifyReplicationGroup` on the group, and the optional peers `@aws-sdk/client-elasticache` and
 * `ioredis`. Facts: ElastiCache API 2015-02-02 (ModifyReplicationGroup), its User Guide ("Authenticating with the AUTH command"); tried with
 * `@aws-sdk/client-elasticache` 3.1127. That ROTATE takes a token which the group has already is not documented: where it is refused, a person is told.
 */
export default function elasticacheAuth(given: z.infer<typeof options>, world: World): Rotator {
  const { group, address } = given
  const where = `AWS ElastiCache, group "${group}"`
  const inElastiCache = <T>(call: Call, work: (client: Client, options: { readonly abortSignal: AbortSignal }) => Promise<T>): Promise<T> =>
    inAws({ where, access: given, world, connect: connectElastiCache }, call, work)

  const describe = (call: Call): Promise<Group> =>
    inElastiCache(call, async (client, options) => {
      const { ReplicationGroups: [found] = [] } = await client.describeReplicationGroups({ ReplicationGroupId: group }, options)
      const { Status = 'in no known state', AuthTokenEnabled, TransitEncryptionEnabled, PendingModifiedValues } = found ?? {}
      const pending = PendingModifiedValues?.AuthTokenStatus
      return {
        busyWith: pending !== undefined ? `${pending.toLowerCase()} a token` : Status === 'available' ? null : Status,
        hasToken: AuthTokenEnabled === true,
        isEncrypted: TransitEncryptionEnabled === true,
      }
    })
  const assertIdle = async (call: Call): Promise<void> => {
    const { busyWith } = await describe(call)
    if (busyWith !== null) throw outside('busy', where, `it is ${busyWith}`)
  }
  /** @returns the code of a refusal that is about the token itself; null where it was taken */
  const modify = (call: Call, AuthToken: string, AuthTokenUpdateStrategy: Strategy): Promise<string | null> =>
    inElastiCache(call, async (client, options) => {
      try {
        await client.modifyReplicationGroup(
          { ReplicationGroupId: group, AuthToken, AuthTokenUpdateStrategy, ApplyImmediately: true },
          options,
        )
        return null
      } catch (error) {
        const code = awsCode(error)
        // Somebody else has just begun to change it.
        if (/^InvalidReplicationGroupState/.test(code)) throw outside('busy', where, 'it is being changed')
        if (/^InvalidParameter/.test(code)) return code
        throw error
      }
    })

  /** Tries a token. `open` where the server lets in everybody, so that nothing is proved. */
  const tryToken = ({ signal }: Call, token: string): Promise<'in' | 'refused' | 'open'> =>
    inRedis({ where, url: address, signal }, async (session) => {
      const word = async (command: string, ...args: string[]) =>
        session.ask(command, ...args).then(
          () => null,
          (error: unknown) => {
            if (error instanceof RedisRefusal) return error
            throw error
          },
        )
      if ((await word('PING'))?.word !== 'NOAUTH') return 'open'
      const refusal = await word('AUTH', token)
      if (refusal === null) return 'in'
      // Redis before 6 says ERR invalid password.
      if (refusal.word === 'WRONGPASS' || /^ERR invalid password/.test(refusal.message)) return 'refused'
      throw refusal
    })
  const isIn = async (call: Call, token: string) => (await tryToken(call, token)) === 'in'

  return {
    provider: 'aws',
    parts: { token: 'secret' },
    overlap: true,
    settleMs: SETTLE_MS,

    check: (call, current) =>
      findings(async () => {
        const { busyWith, hasToken, isEncrypted } = await describe(call)
        const found: Finding[] = []
        const fault = (sentence: string) => found.push({ severity: 'fault', sentence: `${where}: ${sentence}` })
        if (!isEncrypted) fault('it has no encryption in transit, which tokens need')
        if (!hasToken) fault('it has no token. Give it the first one by hand: ROTATE, then SET')
        if (busyWith !== null) fault(`it is ${busyWith}. Wait until it is available`)
        if (found.length > 0 || current === null) return found
        const state = await tryToken(call, tokenOf(current, where))
        if (state === 'open') fault('it lets in everybody, so that nothing can be proved. SET the last token')
        if (state === 'refused') fault('it does not know the token in use')
        return found
      }),

    propose: async () => ({ id: null, parts: { token: generateKey({ format: 'chars', length: LENGTH }) } }),

    create: async (call, proposed, current) => {
      if (proposed === null) throw outside('refused', where, 'there is no proposal')
      const token = tokenOf(proposed, where)
      // What is being changed may be this one.
      await assertIdle(call)
      if (await isIn(call, token)) return proposed
      if (current !== null && !(await isIn(call, tokenOf(current, where))))
        throw outside('refused', where, 'it does not know the token in use')
      const refusal = await modify(call, token, 'ROTATE')
      if (refusal !== null) throw outside('refused', where, `it does not take the new token (${refusal})`)
      return proposed
    },

    verify: async (call, credential): Promise<Verdict> => {
      // Some nodes know it and some do not: it neither works nor is it refused.
      await assertIdle(call)
      const state = await tryToken(call, tokenOf(credential, where))
      if (state === 'in') return { works: true, sentence: 'Redis let it in' }
      if (state === 'open') return { works: false, later: false, sentence: 'Redis lets in everybody, so that nothing is proved' }
      return { works: false, later: true, sentence: 'Redis did not let it in (WRONGPASS)' }
    },

    revoke: async (call, credential, successor) => {
      if (successor === null) throw outside('refused', where, 'a token ends when another one is set, and there is none')
      const token = tokenOf(successor, where)
      await assertIdle(call)
      if (!(await isIn(call, tokenOf(credential, where)))) return
      if (!(await isIn(call, token))) throw outside('refused', where, 'it does not know the token that is to remain')
      if ((await modify(call, token, 'SET')) === null) return
      // The other one was rotated in last. Once more this one, and SET takes it.
      const refusal = await modify(call, token, 'ROTATE')
      if (refusal === null) throw outside('busy', where, 'it is rotating a token, which is set next')
      throw outside(
        'refused',
        where,
        `it does not leave the token in use alone (${refusal}). Set another one there by hand, and give it to the consumers`,
      )
    },

    adopt: async (call, parts) => {
      const credential = { id: null, parts }
      if (!(await isIn(call, tokenOf(credential, where)))) throw outside('refused', where, 'it does not know the token given')
      return credential
    },
  }
}

async function connectElastiCache(options: ClientOptions): Promise<Client> {
  const { ElastiCache } = await sdk('@aws-sdk/client-elasticache', () => import('@aws-sdk/client-elasticache'))
  return new ElastiCache(options)
}

function tokenOf({ parts }: Credential, where: string): string {
  if (parts.token === undefined) throw outside('refused', where, 'the credential has no token')
  return parts.token
}
