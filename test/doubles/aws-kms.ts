import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { checkSignature, SignatureError, type SignatureFault } from './aws/sigv4.ts'

/** What a test can make the double do. */
export interface KmsFaults {
  /** So many calls are answered with ThrottlingException before the next one is served. */
  throttle: number
  /** This error instead of an answer, as `[HTTP status, type]`; null for none. */
  refuse: readonly [status: number, type: string] | null
  /** Calls are taken and never answered. */
  silent: boolean
  /** Answers come from this key, which the caller did not ask for. */
  answerAs: string | null
}

/** A KMS on this machine that speaks the wire protocol of AWS: JSON 1.1, SigV4, real error types. */
export interface KmsDouble {
  readonly endpoint: string
  /** Variables under which an SDK finds its credentials. */
  readonly env: { readonly [name: string]: string }
  readonly faults: KmsFaults
  /** Every call that was answered or refused, in its order, without what was wrapped. */
  readonly calls: readonly { readonly operation: string; readonly keyId: string; readonly context: unknown; readonly outcome: string }[]
  /** The ARN of a new key. */
  createKey(id: string): string
  /** Nobody listens any more, as when the machine is down. */
  stop(): Promise<void>
  /** Listens again, at the same address. */
  start(): Promise<void>
}

const region = 'eu-central-1'
const account = '111122223333'
const accessKey = { id: 'AKIADOUBLEDOUBLE0000', secret: randomBytes(30).toString('base64') }

class KmsError extends Error {
  readonly status: number
  readonly type: string
  constructor(type: string, status = 400, message = '') {
    super(message)
    this.type = type
    this.status = status
  }
}

type Input = {
  readonly KeyId?: string
  readonly Plaintext?: string
  readonly CiphertextBlob?: string
  readonly EncryptionContext?: unknown
}

/** Starts a double; the caller stops it. */
export async function startKms(): Promise<KmsDouble> {
  const keys = new Map<string, Buffer>()
  const faults: KmsFaults = { throttle: 0, refuse: null, silent: false, answerAs: null }
  const calls: { operation: string; keyId: string; context: unknown; outcome: string }[] = []
  const arnOf = (id: string) => `arn:aws:kms:${region}:${account}:key/${id}`
  const find = (keyId: string | undefined) => {
    const id = (keyId ?? '').replace(/^arn:aws:kms:eu-central-1:111122223333:key\//, '')
    const key = keys.get(id)
    if (key === undefined) throw new KmsError('NotFoundException', 400, `Key '${arnOf(id)}' does not exist`)
    return { id, key }
  }
  const operations: Record<string, (input: Input) => object> = {
    Encrypt: (input) => {
      const { id, key } = find(input.KeyId)
      const plaintext = Buffer.from(input.Plaintext ?? '', 'base64')
      if (plaintext.length < 1 || plaintext.length > 4096) throw new KmsError('ValidationException')
      const blob = seal(id, key, plaintext, contextBytes(input.EncryptionContext))
      return { CiphertextBlob: blob.toString('base64'), KeyId: arnOf(faults.answerAs ?? id), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
    },
    Decrypt: (input) => {
      const blob = Buffer.from(input.CiphertextBlob ?? '', 'base64')
      if (blob.length < 1 || blob.length > 6144) throw new KmsError('ValidationException')
      const named = input.KeyId === undefined ? null : find(input.KeyId).id
      const { id, plaintext } = open(keys, blob, contextBytes(input.EncryptionContext))
      if (named !== null && named !== id) throw new KmsError('IncorrectKeyException')
      return { Plaintext: plaintext.toString('base64'), KeyId: arnOf(faults.answerAs ?? id), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
    },
  }
  const serve = (request: IncomingMessage, body: Buffer): object => {
    const operation = /^TrentService\.(\w+)$/.exec(String(request.headers['x-amz-target']))?.[1] ?? ''
    const input: Input = request.headers['content-type'] === 'application/x-amz-json-1.1' ? JSON.parse(body.toString('utf8')) : {}
    const call = { operation, keyId: input.KeyId ?? '', context: input.EncryptionContext, outcome: 'ok' }
    calls.push(call)
    try {
      assertSigned(request, body)
      if (faults.throttle > 0) {
        faults.throttle--
        throw new KmsError('ThrottlingException', 400, 'You have exceeded the rate at which you may call KMS.')
      }
      if (faults.refuse !== null) throw new KmsError(faults.refuse[1], faults.refuse[0], 'a message that may hold anything')
      const work = operations[operation]
      if (work === undefined) throw new KmsError('UnknownOperationException')
      return work(input)
    } catch (error) {
      call.outcome = error instanceof KmsError ? error.type : 'KMSInternalException'
      throw error
    }
  }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (faults.silent) return
    try {
      answer(response, 200, serve(request, Buffer.concat(chunks)))
    } catch (error) {
      const { status, type, message } = error instanceof KmsError ? error : new KmsError('KMSInternalException', 500)
      answer(response, status, { __type: type, message })
    }
  })
  let port = 0
  const start = async () => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    ;({ port } = server.address() as AddressInfo)
  }
  await start()
  return {
    endpoint: `http://127.0.0.1:${port}`,
    env: { AWS_ACCESS_KEY_ID: accessKey.id, AWS_SECRET_ACCESS_KEY: accessKey.secret, AWS_REGION: region },
    faults,
    calls,
    createKey: (id) => {
      keys.set(id, randomBytes(32))
      return arnOf(id)
    },
    stop: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    start,
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomBytes(8).toString('hex') })
  response.end(JSON.stringify(body))
}

/** Byte for byte, in whatever order the members stand. */
function contextBytes(context: unknown): Buffer {
  return Buffer.from(JSON.stringify(Object.entries(context ?? {}).sort()))
}

/** `01 ‖ length of the id ‖ id ‖ nonce(12) ‖ ciphertext ‖ tag(16)`: a real one names its key, too. */
function seal(id: string, key: Buffer, plaintext: Buffer, context: Buffer): Buffer {
  const head = Buffer.concat([Uint8Array.of(1, id.length), Buffer.from(id)])
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', derived(key), nonce).setAAD(Buffer.concat([head, context]))
  return Buffer.concat([head, nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function open(keys: ReadonlyMap<string, Buffer>, blob: Buffer, context: Buffer): { readonly id: string; readonly plaintext: Buffer } {
  const head = blob.subarray(0, 2 + (blob[1] ?? 0))
  const id = head.subarray(2).toString()
  const key = keys.get(id)
  const rest = blob.subarray(head.length)
  if (blob[0] !== 1 || key === undefined || rest.length < 28) throw new KmsError('InvalidCiphertextException')
  try {
    const decipher = createDecipheriv('aes-256-gcm', derived(key), rest.subarray(0, 12), { authTagLength: 16 })
    decipher.setAAD(Buffer.concat([head, context])).setAuthTag(rest.subarray(-16))
    return { id, plaintext: Buffer.concat([decipher.update(rest.subarray(12, -16)), decipher.final()]) }
  } catch {
    throw new KmsError('InvalidCiphertextException')
  }
}

const derived = (key: Buffer): Buffer => Buffer.from(hkdfSync('sha256', key, '', 'double', 32))

const signatureFaults: Readonly<Record<SignatureFault, readonly [type: string, message: string]>> = {
  missing: ['MissingAuthenticationTokenException', ''],
  'unknown-key': ['UnrecognizedClientException', 'The security token included in the request is invalid.'],
  mismatch: ['InvalidSignatureException', 'The request signature we calculated does not match.'],
}

function assertSigned(request: IncomingMessage, body: Buffer): void {
  try {
    const secretOf = (id: string) => (id === accessKey.id ? accessKey.secret : null)
    checkSignature(request, body, { service: 'kms', regions: [region], covers: ['x-amz-target'], secretOf })
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error
    const [type, message] = signatureFaults[error.fault]
    throw new KmsError(type, 400, message)
  }
}
