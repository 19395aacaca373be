import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import { awsOptions, type ClientOptions, inAws, sdk } from '../outside/aws.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { postgresAddress, tryPostgres } from '../outside/postgres.ts'
import type { Call, Finding, Verdict, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'

export const options = z.strictObject({
  ...awsOptions,
  /** The identifier of the database instance. */
  instance: z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,62}$/, { error: 'expected the identifier of a database instance' }),
  /** Where its consumers log in: the password is tried there. */
  address: postgresAddress,
})

type Rds = InstanceType<typeof import('@aws-sdk/client-rds')['RDS']>
/** An instance as RDS describes it. */
interface Instance {
  readonly engine: string
  readonly user: string
  /** Null when a password can be set; else what it is at. */
  readonly busyWith: string | null
  readonly managesPassword: boolean
}

/** RDS takes longer than most: many minutes, when the instance is busy. */
const SETTLE_MS = 1_800_000
/** Letters and digits are allowed by every engine; no engine of Postgres minds so many. */
const LENGTH = 40

/**
 * The master password of an RDS instance of Postgres. There is one: the old one ends when RDS applies the new one, some time after the call. Sessions that
 * are open go on. For a rotation without a gap use `postgres-roles`, and this one for the master that nobody logs in with all the time.
 *
 * A password that was asked for twice is the same one; going back means asking for the old one again. Not for Aurora, where the cluster has the password, and not
 * where RDS keeps it in Secrets Manager itself: that is `aws-secrets-manager-rotation`.
 *
 * Needs `rds:DescribeDBInstances` and `rds:ModifyDBInstance` on the instance, and the optional peers `@aws-sdk/client-rds` and `pg`. Facts: RDS API 2014-10-31
 * (ModifyDBInstance); tried with `@aws-sdk/client-rds` 3.1162.
 */
export default function rdsMasterPassword(given: z.infer<typeof options>, world: World): Rotator {
  const { instance, address } = given
  const where = `AWS RDS, instance "${instance}"`
  const inRds = <T>(call: Call, work: (rds: Rds, options: { readonly abortSignal: AbortSignal }) => Promise<T>): Promise<T> =>
    inAws({ where, access: given, world, connect: connectRds }, call, work)

  const describe = (call: Call): Promise<Instance> =>
    inRds(call, async (rds, options) => {
      const { DBInstances: [found] = [] } = await rds.describeDBInstances({ DBInstanceIdentifier: instance }, options)
      const { DBInstanceStatus = 'in no known state', PendingModifiedValues, MasterUsername = '', Engine = '' } = found ?? {}
      const isPending = PendingModifiedValues?.MasterUserPassword !== undefined
      return {
        engine: Engine,
        user: MasterUsername,
        busyWith: isPending ? 'applying a password' : DBInstanceStatus === 'available' ? null : DBInstanceStatus,
        managesPassword: found?.MasterUserSecret !== undefined,
      }
    })
  const logIn = async ({ signal }: Call, { parts }: Credential) => {
    const found = await tryPostgres({ where, url: address, user: parts.user ?? '', password: parts.password ?? '', signal })
    return { ...found, isIn: 'user' in found && found.user === parts.user && found.asked }
  }

  /** Asks RDS for a password, unless it is in effect already. What is being applied is waited for: it may be this one. */
  const apply = async (call: Call, credential: Credential): Promise<void> => {
    const { password } = credential.parts
    if (password === undefined) throw outside('refused', where, 'the credential has no password')
    // Asked first: one that is in effect now ends when another one is applied.
    const { busyWith } = await describe(call)
    if (busyWith !== null) throw outside('busy', where, `it is ${busyWith}`)
    if ((await logIn(call, credential)).isIn) return
    await inRds(call, async (rds, options) => {
      await rds.modifyDBInstance({ DBInstanceIdentifier: instance, MasterUserPassword: password, ApplyImmediately: true }, options)
    })
  }

  return {
    provider: 'aws',
    parts: { user: 'public', password: 'secret' },
    overlap: false,
    settleMs: SETTLE_MS,

    check: (call, current) =>
      findings(async () => {
        const { engine, managesPassword, busyWith, user } = await describe(call)
        const found: Finding[] = []
        const fault = (sentence: string) => found.push({ severity: 'fault', sentence: `${where}: ${sentence}` })
        if (engine !== 'postgres') fault(`its engine is ${engine}: this rotator knows Postgres, and not Aurora`)
        if (managesPassword) fault('RDS keeps its password in Secrets Manager. Use the rotator aws-secrets-manager-rotation')
        if (busyWith !== null) fault(`it is ${busyWith}. Wait until it is available`)
        if (current !== null && current.parts.user !== user) fault('the user in use is not its master')
        if (current === null) return found
        const state = await logIn(call, current)
        if ('code' in state) fault(`the password in use is not let in (${state.code})`)
        else if (!state.asked) fault('the server asks for no password, so that nothing can be proved')
        return found
      }),

    propose: async (call) => {
      const { user } = await describe(call)
      return { id: null, parts: { user, password: generateKey({ format: 'chars', length: LENGTH }) } }
    },

    create: async (call, proposed) => {
      if (proposed === null) throw outside('refused', where, 'there is no proposal')
      await apply(call, proposed)
      return proposed
    },

    verify: async (call, credential): Promise<Verdict> => {
      const { busyWith } = await describe(call)
      const found = await logIn(call, credential)
      if (found.isIn) return { works: true, sentence: `user "${credential.parts.user}" logged in with its password` }
      if (!('code' in found))
        return { works: false, later: false, sentence: found.asked ? 'it logs in as another user' : 'the server asked for no password' }
      const state = busyWith === null ? '' : `: RDS is ${busyWith}`
      return { works: false, later: true, sentence: `user "${credential.parts.user}" was not let in (${found.code})${state}` }
    },

    revoke: async (call, credential, successor) => {
      if (!(await logIn(call, credential)).isIn) return
      if (successor === null) throw outside('refused', where, 'a master always has a password: it ends when another one is set')
      await apply(call, successor)
    },

    reinstate: async (call, credential) => {
      await apply(call, credential)
      if (!(await logIn(call, credential)).isIn) throw outside('busy', where, 'it has not applied the old password yet')
    },

    adopt: async (call, parts) => {
      const { user } = await describe(call)
      const credential = { id: null, parts: { ...parts, user } }
      if (!(await logIn(call, credential)).isIn) throw outside('refused', where, 'the password given is not that of its master')
      return credential
    },
  }
}

async function connectRds(options: ClientOptions): Promise<Rds> {
  const { RDS } = await sdk('@aws-sdk/client-rds', () => import('@aws-sdk/client-rds'))
  return new RDS(options)
}
