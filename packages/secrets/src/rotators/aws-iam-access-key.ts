import { DURATION, durationMs } from '@keyturn/core'
import { z } from 'zod'
import { type AwsKey, awsCode, awsOptions, type ClientOptions, inAws, sdk } from '../outside/aws.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import type { Call, Finding, Verdict, World } from '../secret/call.ts'
import type { Credential, Parts } from '../secret/credential.ts'
import { httpUrl } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { assertNotRemaining } from './values/remaining.ts'

export const options = z.strictObject({
  ...awsOptions,
  /** The name of the IAM user whose key it is. */
  user: z.string().regex(/^[\w+=,.@-]{1,64}$/, { error: 'expected the name of an IAM user' }),
  /** Where keys are tried; the STS of the region unless given. */
  stsEndpoint: httpUrl.optional(),
  /** The account that a key must be of. */
  account: z
    .string()
    .regex(/^\d{12}$/, { error: 'expected the twelve digits of an account' })
    .optional(),
  /**
   * Allows to delete a second key that stands in the way: one that is inactive, is not the current one, and was not used (or made, if never used)
   * for so long. Without it, nothing is deleted that this secret did not make.
   */
  deleteInactiveAfter: z.string().regex(new RegExp(DURATION), { error: 'expected a period such as "90d"' }).optional(),
})

type Options = z.infer<typeof options>
type Iam = InstanceType<typeof import('@aws-sdk/client-iam')['IAM']>
/** A key as IAM lists it. */
interface Key {
  readonly id: string
  readonly active: boolean
  readonly createdAt: number | null
}

/** IAM allows no more, and counts inactive ones. */
const MOST_KEYS = 2
/** A key that one server of AWS knows, another may not know yet. */
const TRIES = 3

/**
 * The access key of an IAM user: a second one is made, tried at STS, and the first one is made inactive, which can be taken back, before it is deleted.
 *
 * A user has two keys at most. Where there are two already, nothing is made and a person is asked: a key that this secret did not make may be somebody's,
 * unless `deleteInactiveAfter` says that an old inactive one may go. A key is tried by `sts:GetCallerIdentity`, three times with connections of their own,
 * and has to be one of the user: AWS takes some seconds to know a new key everywhere, and to forget one. The secret of a key is told once: one that was
 * lost with an answer is found in the list, deleted, and never adopted.
 *
 * Needs `iam:CreateAccessKey`, `DeleteAccessKey`, `UpdateAccessKey`, `ListAccessKeys` and `GetAccessKeyLastUsed` on the user. Use a role rather than a key
 * where the consumer can have one. Facts: IAM API 2010-05-08, IAM User Guide ("Manage access keys"); tried with `@aws-sdk/client-iam` 3.1162.
 */
export default function awsIamAccessKey(given: Options, world: World): Rotator {
  const { user, account, deleteInactiveAfter, stsEndpoint } = given
  const where = `AWS IAM, user "${user}"`
  const inIam = <T>(call: Call, work: (iam: Iam, options: { readonly abortSignal: AbortSignal }) => Promise<T>): Promise<T> =>
    inAws({ where, access: given, world, connect: connectIam }, call, work)

  const keysOf = (call: Call): Promise<Key[]> =>
    inIam(call, async (iam, options) => {
      const listed = []
      for (let Marker: string | undefined; ; ) {
        const page = await iam.listAccessKeys({ UserName: user, ...(Marker && { Marker }) }, options)
        listed.push(...(page.AccessKeyMetadata ?? []))
        if (page.IsTruncated !== true) break
        if (!page.Marker || page.Marker === Marker) throw outside('uncertain', where, 'its list goes on, and it does not say where')
        Marker = page.Marker
      }
      return listed.flatMap(({ AccessKeyId, Status, CreateDate }) =>
        AccessKeyId === undefined ? [] : [{ id: AccessKeyId, active: Status === 'Active', createdAt: CreateDate?.getTime() ?? null }],
      )
    })
  /** Null if never, undefined where we may not ask. A key that is gone is not used. */
  const lastUsedAt = (call: Call, id: string): Promise<number | null | undefined> =>
    inIam(call, async (iam, options) => {
      try {
        const { AccessKeyLastUsed } = await iam.getAccessKeyLastUsed({ AccessKeyId: id }, options)
        return AccessKeyLastUsed?.LastUsedDate?.getTime() ?? null
      } catch (error) {
        if (isGone(error)) return null
        if (/^AccessDenied/.test(awsCode(error))) return undefined
        throw error
      }
    })
  /** The second key, where the policy lets it go; null where it must stay. */
  const removable = async (call: Call, keys: readonly Key[], current: Credential | null): Promise<Key | null> => {
    const [other, ...more] = keys.filter(({ id }) => id !== current?.id)
    if (deleteInactiveAfter === undefined || other === undefined || more.length > 0 || other.active) return null
    const at = await lastUsedAt(call, other.id)
    const since = at === null ? other.createdAt : at
    return since != null && since < world.now() - durationMs(deleteInactiveAfter) ? other : null
  }
  const twoKeys = (keys: readonly Key[]) =>
    `the user has two keys already, ${keys.map(({ id, active }) => `${id} (${active ? 'active' : 'inactive'})`).join(' and ')}. ` +
    'Find out who uses the other one and delete it'

  /** One call with a key, and whose it is. */
  const tryOnce = (call: Call, key: AwsKey): Promise<'taken' | 'of another' | { readonly refused: string }> =>
    inAws(
      { where: 'AWS STS', access: { ...given, endpoint: stsEndpoint ?? given.endpoint }, world, connect: connectSts },
      call,
      async (sts, options) => {
        try {
          const { Arn = '', Account } = await sts.getCallerIdentity({}, options)
          const isOfUser = new RegExp(`^arn:[a-z-]+:iam::\\d{12}:user/(.*/)?${escaped(user)}$`).test(Arn)
          return isOfUser && (account === undefined || account === Account) ? 'taken' : 'of another'
        } catch (error) {
          const code = awsCode(error)
          if (/^(InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|InvalidAccessKeyId)/.test(code))
            return { refused: code }
          throw error
        }
      },
      key,
    )

  /** Several calls. Some taken and some refused is neither, whichever is hoped for: it is asked again. */
  const tryAll = async (call: Call, { accessKeyId = '', secretAccessKey = '' }: Parts) => {
    const seen: Awaited<ReturnType<typeof tryOnce>>[] = []
    for (let tries = 0; tries < TRIES; tries++) seen.push(await tryOnce(call, { accessKeyId, secretAccessKey }))
    const refusals = seen.filter((each) => typeof each === 'object')
    if (refusals.length > 0 && refusals.length < TRIES) throw outside('busy', 'AWS STS', 'some of its servers know the key and some do not')
    return refusals[0] ?? (seen.includes('of another') ? 'of another' : 'taken')
  }

  const setStatus = (call: Call, { id, parts }: Credential, Status: 'Active' | 'Inactive'): Promise<void> =>
    inIam(call, async (iam, options) => {
      await iam.updateAccessKey({ UserName: user, AccessKeyId: idOf({ id, parts }, where), Status }, options).catch((error: unknown) => {
        // What is gone is off for good.
        if (Status === 'Active' || !isGone(error)) throw error
      })
    })
  const remove = (call: Call, id: string): Promise<void> =>
    inIam(call, async (iam, options) => {
      await iam.deleteAccessKey({ UserName: user, AccessKeyId: id }, options).catch((error: unknown) => {
        if (!isGone(error)) throw error
      })
    })

  return {
    provider: 'aws',
    parts: { accessKeyId: 'public', secretAccessKey: 'secret' },
    overlap: true,

    check: (call, current) =>
      findings(async () => {
        const keys = await keysOf(call)
        const found: Finding[] = []
        if (current?.id != null && !keys.some(({ id }) => id === current.id))
          found.push({ severity: 'fault', sentence: `${where}: the key in use, ${current.id}, is not one of the user` })
        const own = given.credentials?.accessKeyId
        // A file may have the new key by then; a variable of this process has not.
        if (own !== undefined && 'env' in own && current?.id != null && (await world.read(own)) === current.id)
          found.push({
            severity: 'fault',
            sentence: `${where}: the key to call with is the one that is rotated, which could not be turned on again`,
          })
        if (keys.length < MOST_KEYS) return found
        const old = await removable(call, keys, current)
        return [
          ...found,
          old === null
            ? { severity: 'fault', sentence: `${where}: ${twoKeys(keys)}` }
            : { severity: 'warning', sentence: `${where}: the key ${old.id}, inactive and long unused, will be deleted` },
        ]
      }),

    list: async (call) => {
      const listed = []
      for (const { id, active, createdAt } of await keysOf(call)) {
        const at = await lastUsedAt(call, id)
        listed.push({ id, name: null, createdAt, used: at === undefined ? null : at !== null, enabled: active })
      }
      return listed
    },

    create: async (call, _, current) => {
      const keys = await keysOf(call)
      const old = keys.length < MOST_KEYS ? null : await removable(call, keys, current)
      if (keys.length >= MOST_KEYS && old === null) throw outside('refused', where, twoKeys(keys))
      if (old !== null) await remove(call, old.id)
      return inIam(call, async (iam, options) => {
        const { AccessKey } = await iam.createAccessKey({ UserName: user }, options).catch((error: unknown) => {
          // Another call made one that the list does not show yet: maybe ours.
          if (/^LimitExceeded/.test(awsCode(error))) throw outside('uncertain', where, 'it counts two keys, and did not list both')
          throw error
        })
        const { AccessKeyId, SecretAccessKey } = AccessKey ?? {}
        if (!AccessKeyId || !SecretAccessKey) throw outside('uncertain', where, 'it answered without a key')
        return { id: AccessKeyId, parts: { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey } }
      })
    },

    verify: async (call, { parts }): Promise<Verdict> => {
      const answer = await tryAll(call, parts)
      if (answer === 'taken') return { works: true, sentence: `STS took the key for user "${user}", ${TRIES} times of ${TRIES}` }
      if (answer === 'of another') return { works: false, later: false, sentence: 'the key is not one of this user and account' }
      const { refused } = answer
      return { works: false, later: refused !== 'SignatureDoesNotMatch', sentence: `STS refused the key (${refused})` }
    },

    lastUsed: (call, credential) => lastUsedAt(call, idOf(credential, where)),
    disable: (call, credential) => setStatus(call, credential, 'Inactive'),
    // Done when it is let in again: consumers have it the moment after.
    enable: async (call, credential) => {
      await setStatus(call, credential, 'Active')
      if ((await tryAll(call, credential.parts)) !== 'taken')
        throw outside('busy', where, 'the key is active again, and AWS does not know it yet')
    },

    revoke: async (call, credential, successor) => {
      const id = idOf(credential, where)
      assertNotRemaining(where, id, successor)
      await remove(call, id)
    },

    // The id may be left out: STS knows which key the secret is of.
    adopt: async (call, { accessKeyId: given, secretAccessKey = '' }) => {
      for (const { id } of await keysOf(call)) {
        if (given !== undefined && given !== id) continue
        const accessKeyId = id
        if ((await tryOnce(call, { accessKeyId, secretAccessKey })) === 'taken') return { id, parts: { accessKeyId, secretAccessKey } }
      }
      throw outside('refused', where, 'what was given is none of its keys that work')
    },
  }
}

async function connectIam(options: ClientOptions): Promise<Iam> {
  const { IAM } = await sdk('@aws-sdk/client-iam', () => import('@aws-sdk/client-iam'))
  return new IAM(options)
}

async function connectSts(options: ClientOptions) {
  const { STS } = await sdk('@aws-sdk/client-sts', () => import('@aws-sdk/client-sts'))
  return new STS(options)
}

function idOf({ id, parts }: Credential, where: string): string {
  const found = id ?? parts.accessKeyId
  if (found === undefined) throw outside('refused', where, 'the credential names no key')
  return found
}

const isGone = (error: unknown): boolean => /^NoSuchEntity/.test(awsCode(error))
const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
