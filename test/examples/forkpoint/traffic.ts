import { setTimeout as sleep } from 'node:timers/promises'
import { count } from '../../harness/counts.ts'
import { ask } from './application.ts'
import { accountOf, type Services } from './providers.ts'

/** What a configuration's token was and is. */
interface Entry {
  /** In their order; the last one may be on its way. */
  readonly tokens: string[]
  /** Index of the last one that was acknowledged. */
  acknowledged: number
}

/**
 * Clients that save and use tokens all the time. A use is right if the service names the account of the token that was acknowledged
 * when it began, or of one that was sent since: not an older one, and no failure.
 */
export class Traffic {
  /** `kind/id` → its tokens. */
  readonly #ledger: ReadonlyMap<string, Entry>
  readonly #names: readonly string[]
  readonly #url: string
  readonly #token: string
  readonly #services: Services
  readonly #running: Promise<void>[]
  /** Whatever was not as it should be. */
  readonly faults: string[] = []
  reads = 0
  writes = 0
  #stopped = false

  constructor(url: string, token: string, services: Services, tokens: ReadonlyMap<string, string>) {
    this.#ledger = new Map([...tokens].map(([name, token]) => [name, { tokens: [token], acknowledged: 0 }]))
    this.#names = [...tokens.keys()]
    this.#url = url
    this.#token = token
    this.#services = services
    const each = (count: number, turn: (n: number, index: number) => Promise<void>) =>
      Array.from({ length: count }, (_, index) => this.#loop((n) => turn(n, index)))
    this.#running = [
      ...each(3, (n, index) => this.#read(this.#names[(n * 3 + index) % this.#names.length] as string)),
      // Each has rows of its own, of which it leaves the larger part as they are.
      ...each(2, (n, index) => this.#write(this.#names[(n % 4) * 2 + index] as string, n)),
    ]
  }

  /** What the rows must hold: by `kind/id`. Once stopped. */
  get expected(): Map<string, string> {
    return new Map([...this.#ledger].map(([name, { tokens, acknowledged }]) => [name, tokens[acknowledged] as string]))
  }

  /** Resolves when so many more reads and writes were done, or when there was a fault. */
  async more(reads: number, writes: number): Promise<void> {
    const [enoughReads, enoughWrites] = [this.reads + reads, this.writes + writes]
    while ((this.reads < enoughReads || this.writes < enoughWrites) && this.faults.length === 0) await sleep(10)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  async #loop(turn: (n: number) => Promise<void>): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      await turn(n).catch((error: unknown) => this.faults.push(`no answer: ${(error as Error).message}`))
      // All share the processor.
      await sleep(count(30, 5))
    }
  }

  async #read(name: string): Promise<void> {
    const entry = this.#ledger.get(name) as Entry
    const from = entry.acknowledged
    const { status, body } = await ask(this.#url, 'POST', `/configs/${name}/check`, { token: this.#token })
    const right = entry.tokens.slice(from).map(accountOf)
    if (status !== 200 || !right.includes(body.account)) this.faults.push(`read of ${name}: ${status} ${JSON.stringify(body)}`)
    this.reads++
  }

  /** A new token, or the same configuration again without one. */
  async #write(name: string, n: number): Promise<void> {
    const entry = this.#ledger.get(name) as Entry
    const renews = n % 3 !== 2
    const token = this.#services.issue()
    if (renews) entry.tokens.push(token)
    const { status } = await ask(this.#url, 'PUT', `/configs/${name}`, { token: this.#token, body: renews ? { token } : {} })
    if (status !== 200) this.faults.push(`write of ${name}: ${status}`)
    else if (renews) entry.acknowledged = entry.tokens.length - 1
    this.writes++
  }
}
