import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Account } from './account.ts'
import { AwsError } from './aws-error.ts'
import { type Fault, Faults } from './faults.ts'
import type { Answer, Caller, Input, Service } from './offer.ts'
import { checkSignature, SignatureError, type SignatureRules } from './sigv4.ts'

/** A call as CloudTrail would keep it: who asked for what, never a value. */
export interface Call {
  readonly service: string
  readonly operation: string
  /** The access key that signed; empty where the signature was not accepted. */
  by: string
  readonly ids: Readonly<Record<string, string>>
  /** `ok`, or the code of the error; `pending` until it is known. */
  outcome: string
  /** The fault that it ran into. */
  fault: Fault['kind'] | null
}

/** The members of a request that a call is remembered by. None of them is ever a secret. */
const remembered = [
  ...['UserName', 'AccessKeyId', 'Status'],
  ...['SecretId', 'Name', 'ClientRequestToken', 'VersionId', 'VersionStage', 'RemoveFromVersionId', 'MoveToVersionId'],
  ...['DBInstanceIdentifier', 'ReplicationGroupId', 'AuthTokenUpdateStrategy', 'UserId'],
]

type Check = (rules: SignatureRules) => string

/** Some services of AWS at one address; which one is meant stands in the request. */
export class Endpoint {
  readonly faults = new Faults()
  readonly calls: Call[] = []
  connections = 0
  readonly #services: readonly Service[]
  readonly #account: Account
  readonly #server = createServer((request, response) => void this.#take(request, response))
  #port = 0

  constructor(account: Account, services: readonly Service[]) {
    this.#account = account
    this.#services = services
    this.#server.on('connection', () => this.connections++)
    // A connection that we close while it is idle can meet the client's next request: a fault nobody asked for.
    this.#server.keepAliveTimeout = 0
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Listens, each time at the same address. */
  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Nobody listens any more, as when the network is down. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk)
    } catch {
      return
    }
    const body = Buffer.concat(chunks)
    for (const service of this.#services) {
      const read = service.protocol.read(request, body)
      if (read === null) continue
      const answer = await this.#serve(service, read, (rules) => checkSignature(request, body, rules), request)
      if (answer === 'silence') return
      if (answer === 'reset') return void request.socket.resetAndDestroy()
      return send(response, answer)
    }
    send(response, { status: 404, contentType: 'text/plain', body: 'no service of this double' })
  }

  async #serve(
    service: Service,
    { operation, input }: { readonly operation: string; readonly input: Input },
    check: Check,
    request: IncomingMessage,
  ): Promise<Answer | 'silence' | 'reset'> {
    const fault = this.faults.take(service.name, operation)
    const call: Call = { service: service.name, operation, by: '', ids: idsOf(input), outcome: 'pending', fault: fault?.kind ?? null }
    this.calls.push(call)
    const { protocol } = service
    try {
      if (fault?.kind === 'reset') return 'reset'
      if (fault?.kind === 'silent') return 'silence'
      assertServed(service, fault)
      const caller = this.#authenticate(service, check, request)
      call.by = caller.accessKeyId
      const work = service.operations[operation]
      if (work === undefined) throw new AwsError('InvalidAction', 400, `Could not find operation ${operation}`)
      const result = await work(input, caller)
      call.outcome = 'ok'
      if (fault?.kind === 'drop') return 'reset'
      if (fault?.kind === 'silent-late') return 'silence'
      if (fault?.kind === 'slow') await fault.until
      if (fault?.kind === 'fail-late') return protocol.refuse(service.failed)
      return protocol.answer(operation, result)
    } catch (error) {
      // A fault of the double, or of what a test hung into it.
      if (!(error instanceof AwsError)) console.error(error)
      const refusal = error instanceof AwsError ? error : service.failed
      call.outcome = refusal.code
      return fault?.kind === 'drop' ? 'reset' : protocol.refuse(refusal)
    }
  }

  #authenticate(service: Service, check: Check, request: IncomingMessage): Caller {
    const { name, regions, protocol } = service
    const token = request.headers['x-amz-security-token']
    try {
      const secretOf = (id: string) => this.#account.secretFor(id, typeof token === 'string' ? token : null)
      const id = check({ service: name, regions, covers: protocol.covers, secretOf })
      return this.#account.callerOf(id, name)
    } catch (error) {
      throw error instanceof SignatureError ? protocol.signature[error.fault] : error
    }
  }
}

function assertServed(service: Service, fault: Fault | null): void {
  if (fault?.kind === 'throttle') throw service.throttled
  if (fault?.kind === 'fail') throw service.failed
  if (fault?.kind === 'refuse') throw fault.error
}

function idsOf(input: Input): Record<string, string> {
  const values = remembered.map((name) => [name, input.text(name)] as const)
  return Object.fromEntries(values.filter((entry): entry is readonly [string, string] => entry[1] !== null))
}

function send(response: ServerResponse, { status, contentType, body }: Answer): void {
  response.writeHead(status, { 'content-type': contentType, 'x-amzn-requestid': randomUUID() })
  response.end(body)
}
