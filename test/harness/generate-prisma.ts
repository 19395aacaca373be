import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './child.ts'

/**
 * Generates a client of Prisma from a schema, as `prisma generate` does. Needs no network: no engine is fetched, nothing is looked for.
 *
 * @param folder - made if it is not there; gets `schema.prisma`, and what the schema names as its output
 */
export function generatePrisma(schema: string, folder: string): void {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'schema.prisma')
  writeFileSync(file, schema)
  execFileSync(process.execPath, [join(root, 'node_modules/prisma/build/index.js'), 'generate', '--schema', file], {
    cwd: folder,
    stdio: 'pipe',
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  })
}
