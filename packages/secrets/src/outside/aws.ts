import { fail, isKeyturnError } from '@keyturn/core'
import { z } from 'zod'
import type { Call, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import { outside } from './failure.ts'

/** How a service of AWS is reached: options of every part that does. */
export const awsOptions = {
  /** Unless given, what the environment says (`AWS_REGION`). */
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, { error: 'expected a region such as eu-central-1' })
    .optional(),
  /** A VPC endpoint, or an AWS that is not Amazon's; the one of the region unless given. */
  endpoint: httpUrl.optional(),
  /** A key to call with. Unless given, the SDK looks for credentials: the role of the machine, the variables `AWS_…`. */
  credentials: z.strictObject({ accessKeyId: secretRef, secretAccessKey: secretRef, sessionToken: secretRef.optional() }).optional(),
} as const

const access = z.object(awsOptions)
export type AwsAccess = z.infer<typeof access>

/** What every client of the SDK is made with. */
export interface ClientOptions {
  /** One: repetitions are the engine's, which knows what may be repeated. */
  readonly maxAttempts: 1
  readonly region?: string
  readonly endpoint?: string
  readonly credentials?: AwsKey
}
export interface AwsKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** A service of AWS as one part sees it. */
export interface AwsService<Client> {
  /** Who is asked, for messages: `AWS IAM, user "app"`. */
  readonly where: string
  readonly access: AwsAccess
  readonly world: World
  /** Imports the SDK and makes a client. */
  connect(options: ClientOptions): Promise<Client>
}

/**
 * Does some work with a client made for it, so that each piece of work has connections of its own.
 *
 * @param key - to sign with; that of the options unless given
 * @throws what `outside` makes, for whatever the work throws: calls that AWS throttles and connections that never came about are busy; other 4xx
 * refused; 5xx and silence uncertain. Of what AWS says only the code is in a message
 */
export async function inAws<Client extends { destroy(): void }, T>(
  { where, access, world, connect }: AwsService<Client>,
  { signal }: Call,
  work: (client: Client, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  key?: AwsKey,
): Promise<T> {
  if (signal.aborted) throw outside('busy', where, 'there was no time left to ask')
  const { region, endpoint } = access
  const credentials = key ?? (await keyOf(access, world))
  const client = await connect({
    maxAttempts: 1,
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials !== undefined && { credentials }),
  })
  try {
    return await work(client, { abortSignal: signal })
  } catch (error) {
    throw awsFailure(where, error, signal)
  } finally {
    client.destroy()
  }
}

/** The SDK for a service, which is installed only where a part needs it. */
export async function sdk<T>(name: string, load: () => Promise<T>): Promise<T> {
  const loaded = await load().catch(() => null)
  if (loaded === null) throw fail('ERR_USAGE', `this part needs the AWS SDK: npm install ${name}`)
  return loaded
}

/** The code of an answer, as the SDK names it; the empty string for what is no answer of AWS. */
export function awsCode(error: unknown): string {
  const { name, $metadata } = asAwsError(error)
  return $metadata?.httpStatusCode !== undefined && typeof name === 'string' && /^[\w.-]{1,64}$/.test(name) ? name : ''
}

async function keyOf({ credentials }: AwsAccess, world: World): Promise<AwsKey | undefined> {
  if (credentials === undefined) return undefined
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  return {
    accessKeyId: await world.read(accessKeyId),
    secretAccessKey: await world.read(secretAccessKey),
    ...(sessionToken !== undefined && { sessionToken: await world.read(sessionToken) }),
  }
}

/** It was not taken. */
const passing =
  /^(Throttl|TooManyRequests|RequestLimitExceeded|RequestThrottled|SlowDown|PriorRequestNotComplete|ConcurrentModification|EntityTemporarilyUnmodifiable)/
/** Nothing was sent. */
const unreachable = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/

/** What a call that failed means. An error of ours is passed on. */
function awsFailure(where: string, error: unknown, signal: AbortSignal): unknown {
  if (isKeyturnError(error)) return error
  const { name, code, $metadata } = asAwsError(error)
  const status = $metadata?.httpStatusCode
  if (status === undefined) {
    if (typeof code === 'string' && unreachable.test(code)) return outside('busy', where, `it cannot be reached (${code})`)
    if (error instanceof Error && error.message === 'Region is missing') return outside('refused', where, 'no region is configured')
    if (name === 'CredentialsProviderError') return outside('refused', where, 'this process has no credentials of AWS')
    return outside('uncertain', where, signal.aborted ? 'there was no answer in time' : 'the connection broke')
  }
  const answered = awsCode(error)
  const why = `it answered ${status}${answered === '' ? '' : `, ${answered}`}`
  if (passing.test(answered) || status === 429) return outside('busy', where, why)
  return outside(status >= 500 || status < 400 ? 'uncertain' : 'refused', where, why)
}

type AwsErrorShape = { readonly name?: unknown; readonly code?: unknown; readonly $metadata?: { readonly httpStatusCode?: number } }
const asAwsError = (error: unknown): AwsErrorShape => (typeof error === 'object' && error !== null ? error : {})
