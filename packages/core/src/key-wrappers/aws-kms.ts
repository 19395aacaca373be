import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fail, isKeyturnError, type KeyturnError } from '../errors.ts'
import type { KeyWrapper } from '../keyring/key-wrapper.ts'

/** The part of the class `KMS` of `@aws-sdk/client-kms` that we use; any object of this shape will do. */
export interface KmsClient {
  encrypt(
    input: { KeyId: string; Plaintext: Uint8Array; EncryptionContext: Record<string, string> },
    options: { abortSignal: AbortSignal },
  ): Promise<{ CiphertextBlob?: Uint8Array | undefined; KeyId?: string | undefined }>
  decrypt(
    input: { KeyId: string; CiphertextBlob: Uint8Array; EncryptionContext: Record<string, string> },
    options: { abortSignal: AbortSignal },
  ): Promise<{ Plaintext?: Uint8Array | undefined; KeyId?: string | undefined }>
}

/** A symmetric key of AWS KMS, and how it is reached. */
export interface AwsKmsOptions {
  /** The key's ARN, or its id. Not an alias: that can be moved to another key, which opens nothing of what the first one wrapped. */
  readonly keyId: string
  /** Unless given, that of the ARN, and without one what the environment says (`AWS_REGION`). */
  readonly region?: string
  /** A VPC endpoint, or a KMS that is not Amazon's; the one of the region unless given. */
  readonly endpoint?: string
  /** A `KMS` of the application's, with its own credentials and retries. Unless given, one is made with the credentials of the environment. */
  readonly client?: KmsClient
  /** How long one call may take, in milliseconds; 5,000 unless given. A call that takes longer counts as failed. */
  readonly timeoutMs?: number
  /** How often a call is made that is throttled or not answered, 1 to 10; 4 unless given. */
  readonly attempts?: number
}

/** First byte of a wrapping, so that another way to bind the associated data can be told from this one. */
const KIND = 1
/** What KMS accepts at most. */
const MAX_BLOB = 6_144
const backOff = { firstMs: 100, mostMs: 2_000 }
const bounds = { timeoutMs: [1, 60_000], attempts: [1, 10] } as const

/** What KMS says of a blob that is damaged, of another key, or bound to something else. */
const badInput: readonly string[] = ['InvalidCiphertextException', 'IncorrectKeyException']

/** What passes by itself. */
const passing: Readonly<Record<string, string>> = {
  ThrottlingException: 'KMS throttles this account',
  KeyUnavailableException: 'KMS cannot use the key at the moment',
  DependencyTimeoutException: 'KMS was too slow',
  KMSInternalException: 'KMS failed',
  TimeoutError: 'it does not answer in time',
}

const credentials = 'AWS does not accept the credentials of this process. Look at its role, its variables AWS_… and its clock'

/** What somebody has to do something about. */
const refusals: Readonly<Record<string, string>> = {
  AccessDeniedException: 'this process may not use it. Allow kms:Encrypt and kms:Decrypt, in its role or in the policy of the key',
  NotFoundException: 'there is no such key in this region and account. Compare keyId and region',
  DisabledException: 'it is disabled. Enable it',
  KMSInvalidStateException: 'its state does not permit it. If its deletion is scheduled, cancel that',
  InvalidKeyUsageException: 'it is not a symmetric key that encrypts. Name one of the type SYMMETRIC_DEFAULT',
  ExpiredTokenException: credentials,
  UnrecognizedClientException: credentials,
  InvalidSignatureException: credentials,
  IncompleteSignature: credentials,
  MissingAuthenticationTokenException: credentials,
  CredentialsProviderError: credentials,
}

/**
 * A root key that never leaves AWS KMS: each data key is wrapped by `Encrypt` and opened by `Decrypt`, 32 bytes a call. A process asks
 * once for each key of a keyring, when it opens it and when a key is new; values cost no call. What was wrapped is opened once before it is
 * given out: a role that may not do that makes no key.
 *
 * A wrapping is `01 ‖ CiphertextBlob`. The associated data is bound as the encryption context
 * `{ "keyturn": base64url( SHA-256( associated data ) ) }`, which CloudTrail shows: a digest tells nobody anything (`spec/wrapping.md`).
 * `KeyId` is given to every call, and an answer that names another key is refused.
 *
 * A call that is throttled, fails in KMS or is not answered in time is repeated, `attempts` times in all, with a pause that doubles.
 * Nothing is stored before the last of them succeeded, so that a failure leaves everything as it was.
 *
 * @throws `ERR_CONFIG` for options that cannot work
 * @example
 * awsKms({ keyId: 'arn:aws:kms:eu-central-1:111122223333:key/mrk-0b7f' }).rootId // 'aws-kms:mrk-0b7f'
 */
export default function awsKms(options: AwsKmsOptions): KeyWrapper {
  const { keyId, id } = checked(options)
  const rootId = `aws-kms:${id}`
  const calls = new Calls(rootId, options)
  const assertOurs = (answered: string | undefined) => {
    if (answered?.replace(/^.*\//, '') !== id) throw refused(rootId, 'KMS answered for another key. Is the endpoint the one that is meant?')
  }
  const unwrap: KeyWrapper['unwrap'] = async (wrapped, associatedData) => {
    if (wrapped[0] !== KIND || wrapped.length < 2 || wrapped.length > MAX_BLOB + 1) throw fail('ERR_DECRYPT')
    const input = { KeyId: keyId, CiphertextBlob: wrapped.slice(1), EncryptionContext: contextOf(associatedData) }
    const answer = await calls.make((client, abortSignal) => client.decrypt(input, { abortSignal }))
    assertOurs(answer.KeyId)
    if (!answer.Plaintext?.length) throw refused(rootId, 'KMS answered without a key. Is the endpoint the one that is meant?')
    return answer.Plaintext
  }
  /** A key that nobody can open would stop every process that has to load it. */
  const assertOpens = async (wrapped: Uint8Array, key: Uint8Array, associatedData: Uint8Array) => {
    const opened = await unwrap(wrapped, associatedData).catch((error: unknown) => {
      if (isKeyturnError(error, 'ERR_DECRYPT')) return null
      throw error
    })
    const isSame = opened !== null && Buffer.compare(opened, key) === 0
    opened?.fill(0)
    if (!isSame) throw refused(rootId, 'KMS does not open what it wrapped. Is the endpoint the one that is meant?')
  }
  return {
    name: 'aws-kms',
    rootId,
    unwrap,
    wrap: async (key, associatedData) => {
      const input = { KeyId: keyId, Plaintext: key, EncryptionContext: contextOf(associatedData) }
      const answer = await calls.make((client, abortSignal) => client.encrypt(input, { abortSignal }))
      assertOurs(answer.KeyId)
      if (!answer.CiphertextBlob?.length) throw refused(rootId, 'KMS answered without a ciphertext. Is the endpoint the one that is meant?')
      const wrapped = Uint8Array.of(KIND, ...answer.CiphertextBlob)
      await assertOpens(wrapped, key, associatedData)
      return wrapped
    },
  }
}

function checked({ keyId, endpoint, ...options }: AwsKmsOptions): { readonly keyId: string; readonly id: string } {
  const wrong = (option: string, sentence: string) => fail('ERR_CONFIG', `key wrapper "aws-kms", option "${option}"`, sentence)
  if (typeof keyId !== 'string') throw wrong('keyId', 'it is missing: the ARN of the key, or its id')
  if (/(^|:)alias\//.test(keyId)) throw wrong('keyId', 'an alias can be moved to another key. Give the ARN of the key itself')
  const id = /^(?:arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key\/)?([A-Za-z0-9-]{1,64})$/.exec(keyId)?.[1]
  if (id === undefined) throw wrong('keyId', 'expected the ARN of a key, or its id')
  if (endpoint !== undefined && !/^https?:\/\/[^\s@]+$/.test(endpoint)) throw wrong('endpoint', 'expected an address such as https://…')
  const known = ['region', 'client', ...Object.keys(bounds)]
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) throw wrong(unknown, `there is no such option. There are keyId, endpoint, ${known.join(', ')}`)
  for (const [name, [least, most]] of Object.entries(bounds)) {
    const value = options[name as keyof typeof bounds]
    if (value !== undefined && !(Number.isInteger(value) && value >= least && value <= most))
      throw wrong(name, `expected a whole number from ${least} to ${most}`)
  }
  return { keyId, id }
}

/** Never change: wrappings that exist would not open any more. */
function contextOf(associatedData: Uint8Array): Record<string, string> {
  return { keyturn: createHash('sha256').update(associatedData).digest('base64url') }
}

type Call<T> = (client: KmsClient, abortSignal: AbortSignal) => Promise<T>

/** Calls with a deadline and repetitions. */
class Calls {
  readonly #rootId: string
  readonly #options: AwsKmsOptions
  #client: Promise<KmsClient> | null = null

  constructor(rootId: string, options: AwsKmsOptions) {
    this.#rootId = rootId
    this.#options = options
  }

  async make<T>(call: Call<T>): Promise<T> {
    const { attempts = 4, timeoutMs = 5_000, client: given } = this.#options
    this.#client ??= given === undefined ? connect(this.#options) : Promise.resolve(given)
    const client = await this.#client
    for (let attempt = 1; ; attempt++) {
      try {
        return await inTime((signal) => call(client, signal), timeoutMs)
      } catch (error) {
        const reason = reasonToWait(error)
        if (reason === null) throw this.#refusal(error)
        if (attempt >= attempts) throw fail('ERR_ROOT_KEY_UNREACHABLE', this.#rootId, attempt, reason)
        // With a share of chance, or processes that were throttled together would come back together.
        await sleep(Math.min(backOff.mostMs, backOff.firstMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2))
      }
    }
  }

  #refusal(error: unknown): KeyturnError {
    const name = nameOf(error)
    if (badInput.includes(name)) return fail('ERR_DECRYPT')
    return refused(this.#rootId, refusals[name] ?? `KMS says ${name}. Look it up in the documentation of KMS`)
  }
}

const refused = (rootId: string, sentence: string): KeyturnError => fail('ERR_ROOT_KEY_REFUSED', rootId, sentence)

/** Imported when it is first needed: who brings a client of their own, or has no KMS, need not install it. */
async function connect({ keyId, region = keyId.split(':')[3], endpoint }: AwsKmsOptions): Promise<KmsClient> {
  const sdk = await import('@aws-sdk/client-kms').catch(() => null)
  if (sdk === null) throw fail('ERR_USAGE', 'the key wrapper "aws-kms" needs the AWS SDK: npm install @aws-sdk/client-kms')
  // Repetitions are ours: two kinds of them would multiply.
  return new sdk.KMS({ maxAttempts: 1, ...(region !== undefined && { region }), ...(endpoint !== undefined && { endpoint }) })
}

/** A client that does not listen to the signal must not keep us either. */
async function inTime<T>(call: (signal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T> {
  const signal = AbortSignal.timeout(timeoutMs)
  let late = () => {}
  const deadline = new Promise<never>((_, reject) => {
    late = () => reject(signal.reason)
    signal.addEventListener('abort', late)
  })
  try {
    return await Promise.race([call(signal), deadline])
  } catch (error) {
    // The SDK turns the signal into an AbortError.
    throw signal.aborted ? signal.reason : error
  } finally {
    signal.removeEventListener('abort', late)
    deadline.catch(() => {})
  }
}

/** Why a call may be made again, in words; null where it would fail again. Messages are left out: they can hold anything. */
function reasonToWait(error: unknown): string | null {
  const { code, $metadata } = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly code?: unknown
    readonly $metadata?: { readonly httpStatusCode?: number }
  }
  const known = passing[nameOf(error)]
  if (known !== undefined) return known
  if (($metadata?.httpStatusCode ?? 0) >= 500) return 'KMS failed'
  return typeof code === 'string' && /^(E[A-Z_]+|UND_ERR_[A-Z_]+)$/.test(code) && !code.startsWith('ERR_')
    ? `it cannot be reached (${code})`
    : null
}

function nameOf(error: unknown): string {
  const name = error instanceof Error ? error.name : ''
  return /^[A-Za-z]{1,64}$/.test(name) ? name : 'an error without a name'
}
