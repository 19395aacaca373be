import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { AwsSecret, awsSecretOptions, CURRENT, PENDING, type SecretState } from '../outside/aws-secret.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { inPostgres, postgresAddress, tryPostgres } from '../outside/postgres.ts'
import type { Call, Finding, Verdict, World } from '../secret/call.ts'
import type { Credential, Parts } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'
import { alterRole } from './postgres/role.ts'
import { scramVerifier } from './postgres/scram.ts'

const partName = z.string().regex(/^[A-Za-z][A-Za-z0-9]*$/, { error: 'expected the name of a part: letters and digits' })

export const options = z.strictObject({
  ...awsSecretOptions,
  /** Which members of its JSON object the parts are, by the names that templates use. Those of a database's secret unless given. */
  parts: z.record(partName, z.string().min(1)).default({ user: 'username', password: 'password' }),
  /** Parts that may be shown. */
  public: z.array(partName).default(['user']),
  /**
   * How its function works: `one` user, whose old password ends with the rotation, or `two`, of which the one from before goes on working until
   * the next rotation.
   */
  users: z.enum(['one', 'two']).default('one'),
  /** A Postgres where the parts `user` and `password` are tried. Without it, only what Secrets Manager gives out is looked at. */
  address: postgresAddress.optional(),
  /** The function, where the secret has none yet: rotation is turned on with the first run. */
  lambda: z
    .string()
    .regex(/^arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:.+$/, { error: 'expected the ARN of a function' })
    .optional(),
  /** How often AWS rotates it by itself, in days, from 1 to 1,000; what it is set to unless given. */
  everyDays: z.int().min(1).max(1_000).optional(),
})

/** A rotation by a function takes seconds, or minutes where it waits for a cluster. */
const CALL_MS = 300_000
const WATCH_MS = 240_000
const pauses = { firstMs: 100, mostMs: 5_000 }

/**
 * A secret that AWS Secrets Manager rotates by a function: the rotation is turned on, triggered and watched, and what came of it is tried.
 *
 * AWS allows one rotation at a time, so that a version that became current since the last run is the new credential, whether this run, an earlier try of
 * it, or the schedule of AWS has begun it. A function that fails says so only in its logs: here, the rotation does not end. With one user the old password
 * ends at once; where `address` names a Postgres, going back gives it to the user again, as a SCRAM verifier, and moves AWSCURRENT back. Without it
 * a person must. With two users the old one is not revoked, and going back leaves AWSCURRENT where it is: after a leak, rotate twice.
 *
 * Needs `secretsmanager:DescribeSecret`, `GetSecretValue`, `RotateSecret` and, to go back, `UpdateSecretVersionStage` on the secret, and
 * `lambda:InvokeFunction`; the optional peers `@aws-sdk/client-secrets-manager`, and `pg` for `address`. Facts: Secrets Manager API (RotateSecret), its User
 * Guide ("How rotation works"); tried with version 3.1162.
 */
export default function awsSecretsManagerRotation(given: z.infer<typeof options>, world: World): Rotator {
  const { parts: members, users, address, lambda, everyDays } = given
  const secret = new AwsSecret(given, world)
  const { where } = secret

  /** The credential of a version. */
  const credentialOf = async (call: Call, id: string): Promise<Credential> => {
    const text = await secret.read(call, id)
    if (text === null) throw outside('busy', where, 'its current version is not there yet')
    return { id, parts: partsOf(text, members, where) }
  }
  const isRunning = (state: SecretState) => state.holder(PENDING) !== null && state.holder(PENDING) !== state.holder(CURRENT)
  const stuck = 'its rotation has not ended: AWSPENDING stands on a version that is not current. Look into the logs of its function'

  const trigger = (call: Call): Promise<void> =>
    secret.call(call, async (client, id, options) => {
      const rules = everyDays === undefined ? {} : { RotationRules: { AutomaticallyAfterDays: everyDays } }
      const arn = lambda === undefined ? {} : { RotationLambdaARN: lambda }
      await client.rotateSecret({ ...id, ClientRequestToken: call.attempt, ...arn, ...rules }, options)
    })
  const logIn = async ({ signal }: Call, { parts }: Credential) => {
    if (address === undefined) return null
    const found = await tryPostgres({ where, url: address, user: parts.user ?? '', password: parts.password ?? '', signal })
    return 'code' in found
      ? { isIn: false, why: found.code }
      : { isIn: found.asked && found.user === parts.user, why: 'no password was asked for' }
  }

  /** Gives the user its old password again, as the user, with the password that is current. */
  const reinstate = async (call: Call, old: Credential): Promise<void> => {
    const state = await secret.describe(call)
    if (isRunning(state)) throw outside('busy', where, stuck)
    const id = state.holder(CURRENT)
    if (old.id === null || id === null) throw outside('refused', where, 'the version from before is not known')
    if (!(await logIn(call, old))?.isIn) {
      const { user = '', password = '' } = (await credentialOf(call, id)).parts
      const verifier = await scramVerifier(old.parts.password ?? '')
      const login = { where, url: address ?? '', user, password, signal: call.signal }
      if (user !== old.parts.user) throw outside('refused', where, 'the current version is of another user')
      await inPostgres(login, (session) => alterRole(session, { name: user, where, verifier }))
    }
    if (id === old.id || (await secret.moveLabel(call, CURRENT, { from: id, to: old.id }))) return
    throw outside('busy', where, 'somebody else has changed it at the same time')
  }

  return {
    provider: 'aws',
    parts: Object.fromEntries(Object.keys(members).map((part) => [part, given.public.includes(part) ? 'public' : 'secret'])),
    overlap: users === 'two',
    ...(users === 'two' && { issuer: false as const }),
    ...(users === 'one' && address !== undefined && { reinstate }),
    callMs: CALL_MS,

    check: (call, current) =>
      findings(async () => {
        const found: Finding[] = []
        const say = (severity: Finding['severity'], sentence: string) => found.push({ severity, sentence: `${where}: ${sentence}` })
        const state = await secret.describe(call)
        if (state.deleted) say('fault', 'it is scheduled for deletion')
        if (state.rotation.lambda === null && lambda === undefined) say('fault', 'it has no rotation function. Name one: "lambda"')
        else if (!state.rotation.enabled) say('warning', 'AWS does not rotate it now; a run turns that on')
        if (isRunning(state)) say('fault', `${stuck}, or cancel it and take that label away`)
        const id = state.holder(CURRENT)
        if (id === null) say('fault', 'it has no value yet')
        if (id === null || state.deleted) return found
        const held = await credentialOf(call, id)
        if (current !== null && current.id !== id) say('warning', 'AWS has rotated it since: the next run takes what is there')
        const state2 = await logIn(call, held)
        if (state2 !== null && !state2.isIn) say('fault', `its current value is not let in (${state2.why})`)
        return found
      }),

    // There is one rotation at a time, and `create` finds what came of the last one: nothing can be left over.
    list: async () => [],

    create: async (call, _, current) => {
      const until = world.now() + WATCH_MS
      let triggered = false
      for (let pauseMs = pauses.firstMs; world.now() < until; pauseMs = Math.min(pauses.mostMs, pauseMs * 2)) {
        const state = await secret.describe(call)
        const id = state.holder(CURRENT)
        if (id !== null && !isRunning(state) && (id === call.attempt || (current?.id != null && id !== current.id)))
          return credentialOf(call, id)
        if (!triggered && !isRunning(state)) await trigger(call)
        triggered = true
        await sleep(pauseMs, undefined, { signal: call.signal }).catch(() => {
          throw outside('busy', where, stuck)
        })
      }
      throw outside('busy', where, stuck)
    },

    verify: async (call, credential): Promise<Verdict> => {
      const state = await logIn(call, credential)
      if (state?.isIn) return { works: true, sentence: `user "${credential.parts.user}" logged in with its password` }
      if (state !== null) return { works: false, later: true, sentence: `user "${credential.parts.user}" was not let in (${state.why})` }
      return (await secret.describe(call)).holder(CURRENT) === credential.id
        ? { works: true, sentence: 'Secrets Manager gives it to consumers' }
        : { works: false, later: false, sentence: 'Secrets Manager gives another one to consumers' }
    },

    revoke: async (call, credential) => {
      const verdict = await logIn(call, credential)
      const isCurrent = (await secret.describe(call)).holder(CURRENT) === credential.id
      if (isCurrent || verdict?.isIn) throw outside('refused', where, 'what AWS has rotated in ends with the next rotation, and not before')
    },

    adopt: async (call, parts) => {
      const id = (await secret.describe(call)).holder(CURRENT)
      if (id === null) throw outside('refused', where, 'it has no value yet')
      const held = await credentialOf(call, id)
      if (Object.entries(parts).some(([part, value]) => held.parts[part] !== value))
        throw outside('refused', where, 'what was given is not its current value')
      return held
    },
  }
}

/** The parts in a JSON object. */
function partsOf(text: string, members: Parts, where: string): Parts {
  const parsed = asObject(text)
  if (parsed === null) throw outside('refused', where, 'it does not hold a JSON object')
  const parts = Object.entries(members).map(([part, member]) => {
    const value = Object.hasOwn(parsed, member) ? parsed[member] : undefined
    if (typeof value !== 'string' && typeof value !== 'number') throw outside('refused', where, `its value has no member "${member}"`)
    return [part, String(value)] as const
  })
  return Object.fromEntries(parts)
}

function asObject(text: string): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? (parsed as Record<string, unknown>) : null
  } catch {
    return null
  }
}
