import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { count } from '../harness/counts.ts'
import type { Application, Ledger } from './application.ts'

/**
 * Clients of the application that save credentials, tokens and keys, each over its own part of the connectors, and try again for as long
 * as they are told to come later or nobody answers. What was acknowledged stands in the ledger.
 */
export class Clients {
  /** Where the application is now. */
  application: Application
  accepted = 0
  /** Times that a client was told to come later. */
  refused = 0
  /** Answers that a client cannot make sense of. */
  readonly errors: string[] = []
  readonly #ledger: Ledger
  readonly #ids: readonly string[]
  readonly #running: Promise<void>[]
  #stopped = false
  #abandoned = false

  constructor(application: Application, ledger: Ledger, of = 4) {
    this.application = application
    this.#ledger = ledger
    this.#ids = [...ledger.credentials.keys()]
    this.#running = Array.from({ length: of }, (_, index) => this.#run(index, of))
  }

  /** Each finishes what it has begun: the application must be able to save by then. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  /** For a test that has failed: nobody tries again. */
  async abandon(): Promise<void> {
    this.#abandoned = true
    await this.stop()
  }

  async #run(index: number, of: number): Promise<void> {
    const own = this.#ids.filter((_, n) => n % of === index)
    for (let n = 0; !this.#stopped; n++) {
      const id = n % 4 === 3 ? `connector-of-${index}-${n}` : (own[Math.floor(Math.random() * own.length)] as string)
      await (n % 3 === 0 && this.#ledger.tokens.has(id) ? this.#saveTokens(id) : this.#saveConnector(id))
      if (n % 20 === 10) await this.#createKey(index)
      // The rotation shares the processor with this loop.
      await sleep(count(10, 2))
    }
  }

  async #saveConnector(id: string): Promise<void> {
    const credentials = { apiKey: `marked-${randomBytes(9).toString('hex')}` }
    const connector = { name: 'saved', type: 'REST', baseUrl: 'http://127.0.0.1:9', authType: 'API_KEY', credentials }
    await this.#until(200, 'PUT', `/connectors/${id}`, connector)
    this.#ledger.credentials.set(id, JSON.stringify(credentials))
  }

  async #saveTokens(id: string): Promise<void> {
    const [accessToken, refreshToken] = [`marked-${randomBytes(9).toString('hex')}`, `marked-${randomBytes(9).toString('hex')}`]
    await this.#until(200, 'PUT', `/connectors/${id}/tokens`, { accessToken, refreshToken, expiresAt: '2100-01-01T00:00:00Z' })
    this.#ledger.tokens.set(id, `${accessToken} ${refreshToken}`)
  }

  async #createKey(index: number): Promise<void> {
    const { key = '' } = await this.#until(201, 'POST', `/users/user-${index}/keys`, { name: 'client' })
    this.#ledger.keys.add(key)
  }

  async #until(status: number, method: string, path: string, body: object): Promise<Record<string, string>> {
    for (;;) {
      // Nobody answers while the application restarts.
      const answer = await this.application.ask(method, path, body).catch(() => null)
      if (answer?.status === status) {
        this.accepted++
        return answer.body
      }
      if (this.#abandoned) return {}
      if (answer === null || answer.status === 503) this.refused++
      else {
        this.errors.push(`${method} ${path}: ${answer.status}`)
        this.#stopped = true
        return {}
      }
      await sleep(20)
    }
  }
}
