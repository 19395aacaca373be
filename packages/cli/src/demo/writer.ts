import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'
import type { Keyturn } from '@keyturn/core'
import { type DemoField, fields, type Seeded } from './application.ts'

/** The application, going on while its keys change: it reads values and writes new ones, and keeps a ledger of what it wrote. */
export class Writer {
  readonly #db: PGlite
  readonly #keyturn: Keyturn
  readonly #seeded: Seeded
  #stopped = false
  #running: Promise<void> = Promise.resolve()
  writes = 0
  reads = 0

  constructor(db: PGlite, keyturn: Keyturn, seeded: Seeded) {
    this.#db = db
    this.#keyturn = keyturn
    this.#seeded = seeded
  }

  start(): void {
    this.#stopped = false
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#changeOne()
      await sleep(5)
    }
  }

  async #changeOne(): Promise<void> {
    const field = fields[randomInt(fields.length)] as DemoField
    const id = randomInt(1, Math.max(2, Math.floor(this.#seeded.total / fields.length)))
    const place = `${field.table} ${id}`
    if (this.#seeded.damaged.has(place)) return
    const plaintext = `${field.prefix}written-${this.writes}-during-the-rotation`
    const stored = await this.#keyturn.field(field.name).encrypt(plaintext, { id })
    await this.#db.query(`UPDATE ${field.table} SET "${field.column}" = $1 WHERE id = $2`, [stored, id])
    // The ledger is written after the database has it: it says what must be found at the end.
    this.#seeded.plaintexts.set(place, plaintext)
    this.writes++
  }

  /** Reads every value as the application does and compares it with the ledger. */
  async audit(): Promise<{ readonly lostUpdates: number; readonly unreadable: number }> {
    let [lostUpdates, unreadable] = [0, 0]
    for (const { name, table, column } of fields) {
      const { rows } = await this.#db.query<{ id: number; stored: string }>(`SELECT id, "${column}" AS stored FROM ${table}`)
      for (const { id, stored } of rows) {
        const expected = this.#seeded.plaintexts.get(`${table} ${id}`)
        if (expected === undefined) continue
        const found = await this.#keyturn
          .field(name)
          .decrypt(stored, { id })
          .catch(() => null)
        this.reads++
        if (found === null) unreadable++
        else if (found !== expected) lostUpdates++
      }
    }
    return { lostUpdates, unreadable }
  }
}
