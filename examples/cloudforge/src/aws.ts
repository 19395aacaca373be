import { createHash, createHmac } from 'node:crypto'

/** AWS does not accept the key. `code` is its word for that. */
export class AwsRefusal extends Error {
  readonly code: string
  constructor(code: string) {
    super('refused')
    this.code = code
  }
}

export interface AwsKey {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly region: string
  /** The address of STS. */
  readonly sts: string
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** Who AWS says we are. Signed by hand (SigV4) instead of by an SDK: the application needs no other call. @throws AwsRefusal */
export async function callerIdentity({ accessKeyId, secretAccessKey, region, sts }: AwsKey, signal: AbortSignal): Promise<void> {
  const body = 'Action=GetCallerIdentity&Version=2011-06-15'
  const { host } = new URL(sts)
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const scope = `${time.slice(0, 8)}/${region}/sts/aws4_request`
  const type = 'application/x-www-form-urlencoded'
  const names = 'content-type;host;x-amz-date'
  const canonical = `POST\n/\n\ncontent-type:${type}\nhost:${host}\nx-amz-date:${time}\n\n${names}\n${sha256(body)}`
  const key = scope.split('/').reduce<string | Buffer>((from, part) => hmac(from, part), `AWS4${secretAccessKey}`)
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`).toString('hex')
  const response = await fetch(`${sts}/`, {
    method: 'POST',
    headers: {
      'content-type': type,
      'x-amz-date': time,
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
      connection: 'close',
    },
    body,
    signal,
  })
  const text = await response.text()
  if (response.status === 403 || response.status === 400) throw new AwsRefusal(/<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? 'refused')
  if (!response.ok) throw new Error(`status ${response.status}`)
}
