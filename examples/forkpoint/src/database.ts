import type { Keyturn } from '@keyturn/core'
import prismaExtension from '@keyturn/core/adapters/prisma'
import { PrismaPg } from '@prisma/adapter-pg'
import type { Pool } from 'pg'
import { PrismaClient } from './generated/client.ts'

export type Database = ReturnType<typeof openDatabase>

/** The client of Prisma: tokens and secrets are encrypted as they are written and decrypted as they are read. */
export function openDatabase(pool: Pool, keyturn: Keyturn) {
  return new PrismaClient({ adapter: new PrismaPg(pool) }).$extends(prismaExtension(keyturn))
}
