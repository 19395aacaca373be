import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** Why a signature is not accepted. Each protocol has its own name for it. */
export type SignatureFault = 'missing' | 'unknown-key' | 'mismatch'

/** A request that AWS would not take for the one whose key it names. */
export class SignatureError extends Error {
  readonly fault: SignatureFault

  constructor(fault: SignatureFault) {
    super(fault)
    this.fault = fault
  }
}

/** What a signature has to be good for. */
export interface SignatureRules {
  /** As in the scope: `kms`, `iam`, `sts`. */
  readonly service: string
  readonly regions: readonly string[]
  /** Headers that have to be among the signed ones. */
  readonly covers: readonly string[]
  /** The secret of an access key; null where the service does not know it (yet, or any more). */
  secretOf(accessKeyId: string): string | null
}

const credential = /^AWS4-HMAC-SHA256 Credential=(\w+)\/(\d{8})\/([\w-]+)\/([\w-]+)\/aws4_request, ?/
const authorization = new RegExp(`${credential.source}SignedHeaders=([\\w;-]+), ?Signature=([0-9a-f]{64})$`)

/**
 * Computes the signature (SigV4) of a POST without a query from the request as it came, and compares: who does not hold the secret does
 * not get by.
 *
 * @returns the access key that signed
 * @throws {@link SignatureError}
 */
export function checkSignature(request: IncomingMessage, body: Uint8Array, rules: SignatureRules): string {
  const { headers, method, url } = request
  const parts = authorization.exec(headers.authorization ?? '')
  if (parts === null) throw new SignatureError('missing')
  const [, id = '', day = '', region = '', service = '', signedHeaders = '', signature = ''] = parts
  const secret = rules.secretOf(id)
  if (secret === null) throw new SignatureError('unknown-key')
  const names = signedHeaders.split(';')
  const digest = sha256(body)
  const headerLines = names.map((name) => `${name}:${String(headers[name] ?? '').trim()}\n`).join('')
  const canonical = [method, url, '', headerLines, signedHeaders, digest].join('\n')
  const scope = `${day}/${region}/${service}/aws4_request`
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n')
  const key = [day, region, service, 'aws4_request'].reduce(
    (before: Buffer | string, part) => createHmac('sha256', before).update(part).digest(),
    `AWS4${secret}`,
  )
  const expected = createHmac('sha256', key).update(text).digest()
  const isCovered = ['host', 'x-amz-date', ...rules.covers].every((name) => names.includes(name))
  const isInScope = service === rules.service && rules.regions.includes(region)
  if (!isCovered || !isInScope || !timingSafeEqual(expected, Buffer.from(signature, 'hex'))) throw new SignatureError('mismatch')
  return id
}

const sha256 = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex')
