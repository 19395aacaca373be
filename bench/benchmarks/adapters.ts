import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { Pool } from 'pg'
import drizzleColumn from '../../packages/core/src/adapters/drizzle.ts'
import prismaExtension from '../../packages/core/src/adapters/prisma.ts'
import { defineConfig, env, type Keyturn, open } from '../../packages/core/src/index.ts'
import { generatePrisma } from '../../test/harness/generate-prisma.ts'
import { environment } from '../application.ts'
import type { Benchmark } from '../benchmark.ts'
import { median, timed } from '../numbers.ts'

const plaintext = 'p'.repeat(54)
/** Reads of each kind in a turn, and turns. */
const [reads, turns] = [5, 20]

const config = defineConfig({
  keyrings: { app: { root: env('BENCH_ROOT') } },
  fields: { 'read.token': { column: 'read_rows.token', keyring: 'app' } },
})
const schema = `
generator client {
  provider = "prisma-client"
  output = "./client"
  importFileExtension = "ts"
}
datasource db {
  provider = "postgresql"
}
model ReadRow {
  id Int @id
  token String
  note String
  @@map("read_rows")
}`

/** Reading all rows of a table through an ORM, with its encrypted column opened and as it is stored. */
export const adapters: Benchmark = {
  name: 'adapters',
  about: 'reading 100 rows with an encrypted column through Prisma and Drizzle, against the same rows as they are stored',
  rows: 100,
  async run({ rows, rounds, postgres, say }) {
    const { pool, url, drop } = await (await postgres()).createDatabase()
    const below = fileURLToPath(new URL('../dist/', import.meta.url))
    mkdirSync(below, { recursive: true })
    const folder = mkdtempSync(join(below, 'prisma-'))
    const keyturn = await open(config, { pool, env: environment })
    try {
      await fill(pool, keyturn, rows)
      generatePrisma(schema, folder)
      const { work, end } = await readers(keyturn, { pool, url, folder })
      say(`${turns * rounds} turns of ${reads} reads of ${rows} rows`)
      const took = await inTurns(work, turns * rounds)
      await end()
      return {
        ratios: [
          { name: 'Prisma / Prisma without the extension', value: took.prisma / took.prismaStored },
          { name: 'Drizzle / Drizzle with a text column', value: took.drizzle / took.drizzleStored },
        ],
        measured: Object.fromEntries(Object.entries(took).map(([name, ms]) => [`${name}Ms`, ms])),
      }
    } finally {
      await keyturn.close()
      await drop()
      rmSync(folder, { recursive: true, force: true })
    }
  },
}

async function fill(pool: Pool, keyturn: Keyturn, rows: number): Promise<void> {
  await pool.query('CREATE TABLE read_rows (id int PRIMARY KEY, token text NOT NULL, note text NOT NULL)')
  const token = keyturn.field('read.token')
  const stored = await Promise.all(Array.from({ length: rows }, () => token.encrypt(plaintext)))
  await pool.query(`INSERT INTO read_rows SELECT n, token, 'a note' FROM unnest($1::text[]) WITH ORDINALITY AS t (token, n)`, [stored])
  await pool.query('VACUUM ANALYZE read_rows')
}

interface Place {
  readonly pool: Pool
  readonly url: string
  readonly folder: string
}
type Row = { readonly token: string }

async function readers(keyturn: Keyturn, { pool, url, folder }: Place) {
  const { PrismaClient } = await import(join(folder, 'client', 'client.ts'))
  const stored = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: 1 }) })
  const opened = stored.$extends(prismaExtension(keyturn))
  const columns = { id: integer('id').primaryKey(), note: text('note').notNull() }
  const plain = pgTable('read_rows', { ...columns, token: text('token').notNull() })
  const encrypted = pgTable('read_rows', { ...columns, token: drizzleColumn(keyturn.field('read.token'))('token').notNull() })
  const db = drizzle(pool)
  const work = {
    prisma: (): Promise<Row[]> => opened.readRow.findMany(),
    prismaStored: (): Promise<Row[]> => stored.readRow.findMany(),
    drizzle: async (): Promise<Row[]> => await db.select().from(encrypted),
    drizzleStored: async (): Promise<Row[]> => await db.select().from(plain),
  }
  for (const [name, read] of Object.entries(work)) {
    const all = (await read()).every(({ token }) => (token === plaintext) !== name.endsWith('Stored'))
    if (!all) throw new Error(`${name} does not read what it should`)
  }
  return { work, end: () => stored.$disconnect() as Promise<void> }
}

/** The median time of one call of each in milliseconds; all of them in every turn. */
async function inTurns<T extends Record<string, () => Promise<unknown>>>(work: T, turns: number): Promise<{ [name in keyof T]: number }> {
  const took = new Map<keyof T, number[]>(Object.keys(work).map((name) => [name, []]))
  for (let turn = 0; turn <= turns; turn++) {
    for (const name of Object.keys(work)) {
      const ms = await timed(async () => {
        for (let read = 0; read < reads; read++) await work[name]?.()
      })
      // The first turn compiles.
      if (turn > 0) took.get(name)?.push(ms / reads)
    }
  }
  return Object.fromEntries([...took].map(([name, all]) => [name, median(all)])) as { [name in keyof T]: number }
}
