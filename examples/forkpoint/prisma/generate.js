// Runs "prisma generate" without a network: a client needs no engine, and nothing is asked about updates.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const prisma = createRequire(import.meta.url).resolve('prisma/build/index.js')
const schema = fileURLToPath(new URL('schema.prisma', import.meta.url))
const { status } = spawnSync(process.execPath, [prisma, 'generate', '--schema', schema], {
  stdio: 'inherit',
  env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' },
})
process.exitCode = status ?? 1
