import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { fieldOf, writeOld } from './world.ts'

/** How one instance of the application writes. */
export interface Writing {
  /** Which format and key it writes. */
  readonly writes: 'old' | 'new'
  /** Rows that it updates in one transaction, in random order. */
  readonly bulk?: number
  /** A table whose rows refer to accounts; it adds some in each bulk transaction. */
  readonly refers?: string
  /** `deadlock_timeout` of its session: the smaller, the sooner it is a victim. */
  readonly deadlockTimeoutMs?: number
}
interface Share {
  readonly index: number
  readonly of: number
  readonly rows: number
}
type Statement = readonly [string, unknown[]]

const field = fieldOf('accounts.token')

/**
 * An instance of an application on a connection of its own, at READ COMMITTED. It updates, inserts, deletes and moves rows whose
 * `ref` is its own, and keeps a ledger: the text that it last committed to each row; null: deleted.
 */
export class Writer {
  writes: Writing['writes']
  readonly ledger = new Map<number, string | null>()
  /** SQLSTATEs of everything that failed. */
  readonly errors: string[] = []
  commits = 0
  readonly #client: Client
  readonly #writing: Writing & Share
  readonly #live: number[]
  #next: number
  #stopped = false
  #running: Promise<void> = Promise.resolve()

  private constructor(client: Client, writing: Writing & Share) {
    this.#client = client
    this.#writing = writing
    this.writes = writing.writes
    this.#live = Array.from({ length: writing.rows }, (_, index) => index + 1).filter((ref) => ref % writing.of === writing.index)
    this.#next = writing.rows * (writing.index + 2)
  }

  static async start(url: string, writing: Writing & Share): Promise<Writer> {
    const client = new Client({ connectionString: url, application_name: 'application' })
    client.on('error', () => {})
    await client.connect()
    // Longer than any batch, far shorter than a writer that hangs.
    await client.query(`SET lock_timeout = '5s'; SET deadlock_timeout = '${writing.deadlockTimeoutMs ?? 1_000}ms'`)
    const writer = new Writer(client, writing)
    writer.#running = writer.#run()
    return writer
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    await this.#client.end()
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const bulk = this.#writing.bulk
      await (bulk === undefined ? this.#one() : this.#many(bulk))
      // The rotation and the other helpers of the test share the processor with this loop.
      await sleep(1)
    }
  }

  #sealed(text: string): string {
    return this.writes === 'old' ? (writeOld(text) as string) : (field.encryptSync(text) as string)
  }

  #pick(): number {
    return this.#live[Math.floor(Math.random() * this.#live.length)] as number
  }

  /** A key that no row has: before all rows, or after them. */
  #key(): number {
    const fresh = this.#next++
    return Math.random() < 0.5 ? -fresh : fresh + 1_000_000_000
  }

  async #one(): Promise<void> {
    const ref = this.#pick()
    const text = `${this.#writing.index} wrote ${this.commits}`
    const chance = Math.random()
    if (chance < 0.55) await this.#do([['UPDATE accounts SET token = $2 WHERE ref = $1', [ref, this.#sealed(text)]]], [[ref, text]])
    else if (chance < 0.75) await this.#do([['UPDATE accounts SET id = $2 WHERE ref = $1', [ref, this.#key()]]], [])
    else if (chance < 0.9) {
      const fresh = this.#next
      await this.#do(
        [['INSERT INTO accounts (ref, id, token) VALUES ($1, $2, $3)', [fresh, this.#key(), this.#sealed(text)]]],
        [[fresh, text]],
      )
      this.#live.push(fresh)
    } else if (this.#live.length > 10) {
      await this.#do([['DELETE FROM accounts WHERE ref = $1', [ref]]], [[ref, null]])
      this.#live.splice(this.#live.indexOf(ref), 1)
    }
  }

  async #many(bulk: number): Promise<void> {
    const refs = [...new Set(Array.from({ length: bulk }, () => this.#pick()))]
    const entries = refs.map((ref) => [ref, `bulk ${this.commits}`] as const)
    const statements: Statement[] = []
    for (const [ref, text] of entries) {
      if (this.#writing.refers !== undefined) statements.push([`INSERT INTO ${this.#writing.refers} (account) VALUES ($1)`, [this.#pick()]])
      statements.push(['UPDATE accounts SET token = $2 WHERE ref = $1', [ref, this.#sealed(text)]])
    }
    await this.#do(statements, entries)
  }

  async #do(statements: readonly Statement[], entries: readonly (readonly [number, string | null])[]): Promise<void> {
    try {
      await this.#client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
      for (const [text, values] of statements) {
        const { rowCount } = await this.#client.query(text, values)
        if (rowCount !== 1) throw Object.assign(new Error('no row'), { code: `${text.slice(0, 6)} met no row` })
      }
      await this.#client.query('COMMIT')
    } catch (error) {
      this.errors.push(String((error as { code?: string }).code))
      this.#stopped = true
      await this.#client.query('ROLLBACK').catch(() => {})
      return
    }
    this.commits++
    for (const [ref, text] of entries) this.ledger.set(ref, text)
  }
}
