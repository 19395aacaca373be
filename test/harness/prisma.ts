import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { root } from './child.ts'
import { generatePrisma } from './generate-prisma.ts'

/**
 * A client of Prisma for the file that calls this, in a new folder below a git-ignored one of the repository, where it finds its packages.
 * It is removed when the file has run.
 *
 * @returns the folder, with `client/client.ts` where the schema says so
 */
export function usePrisma(schema: string): string {
  const below = join(root, 'test', 'dist')
  mkdirSync(below, { recursive: true })
  const folder = mkdtempSync(join(below, 'prisma-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  generatePrisma(schema, folder)
  return folder
}
