import type { Redis } from 'ioredis'
import type { Field } from '../../packages/core/src/field/field.ts'
import { writeOld } from '../rotation/world.ts'
import { lifeMs, opened, record } from './world.ts'

/** What an application knows of one session of its own: nobody else writes it. Null: it was destroyed. */
type Entry = { readonly token: string; readonly end: number } | null

/** What users met. */
export interface Met {
  readonly operations: number
  /** Reads of a session that should be there and was not, or did not open to its token. */
  readonly loggedOut: number
}

/**
 * One instance of an application: it creates, reads, touches, rewrites, shortens and destroys sessions, and writes down each of them.
 * Every session belongs to one instance, and each end of life is exact to the millisecond, so that the ledger leaves nothing to chance.
 */
export class Application {
  readonly ledger = new Map<string, Entry>()
  readonly #client: Redis
  readonly #prefix: string
  readonly #field: Field
  #operations = 0
  #loggedOut = 0
  #random: number
  /** Whether it still writes under the old key, as an instance does that has not learned the new one. */
  oldKey = true

  constructor(client: Redis, prefix: string, field: Field, seed: number) {
    this.#client = client
    this.#prefix = prefix
    this.#field = field
    this.#random = seed
  }

  /** Takes over sessions that are there. */
  own(id: string, token: string, end: number): void {
    this.ledger.set(id, { token, end })
  }

  /** Works until told to stop. */
  async work(stopped: () => boolean): Promise<Met> {
    const own = [...this.ledger.keys()]
    while (!stopped()) {
      const id = own[this.#draw(own.length)] as string
      const entry = this.ledger.get(id) ?? null
      this.#operations++
      if (entry === null || entry.end <= Date.now()) await this.#write(`${id}+`, lifeMs, own)
      else await this.#one(id, entry, own)
    }
    return { operations: this.#operations, loggedOut: this.#loggedOut }
  }

  async #one(id: string, entry: NonNullable<Entry>, own: string[]): Promise<void> {
    const kind = this.#draw(12)
    if (kind < 4) await this.#read(id, entry)
    else if (kind < 7) await this.#live(id, entry, Date.now() + lifeMs + this.#draw(1_000_000))
    else if (kind === 7) await this.#live(id, entry, Date.now() + 20 + this.#draw(400))
    else if (kind === 8) await this.#destroy(id)
    else await this.#write(kind === 9 ? `${id}+` : id, kind === 10 ? 20 + this.#draw(400) : lifeMs, own)
  }

  async #read(id: string, { token, end }: NonNullable<Entry>): Promise<void> {
    const text = await this.#client.get(this.#prefix + id)
    if (text === null ? Date.now() < end : opened(this.#field, text) !== token) this.#loggedOut++
  }

  /** A touch. One of a session that has just expired finds nothing. */
  async #live(id: string, entry: NonNullable<Entry>, end: number): Promise<void> {
    const found = await this.#client.call('PEXPIREAT', this.#prefix + id, String(end))
    if (found === 1) this.ledger.set(id, { ...entry, end })
    else if (Date.now() < entry.end) this.#loggedOut++
  }

  async #write(id: string, life: number, own: string[]): Promise<void> {
    const token = `token ${this.#operations} of ${id}`
    const [end, value] = [Date.now() + life, this.oldKey && this.#draw(2) === 0 ? writeOld(token) : this.#field.encryptSync(token)]
    await this.#client.call('SET', this.#prefix + id, record(id, value), 'PXAT', String(end))
    if (!this.ledger.has(id)) own.push(id)
    this.ledger.set(id, { token, end })
  }

  async #destroy(id: string): Promise<void> {
    await this.#client.unlink(this.#prefix + id)
    this.ledger.set(id, null)
  }

  /** A number below `limit`, the same row of them for each seed. */
  #draw(limit: number): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#random / 2 ** 32) * limit)
  }
}
