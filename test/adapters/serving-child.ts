import type { AddressInfo } from 'node:net'
import express from 'express'
import fastify from 'fastify'
import { Pool } from 'pg'
import keyturnExpress from '../../packages/core/src/adapters/express.ts'
import keyturnFastify from '../../packages/core/src/adapters/fastify.ts'
import { defineConfig, env } from '../../packages/core/src/config/config.ts'
import { open } from '../../packages/core/src/open.ts'

/** What the service is built on. */
export type Framework = 'fastify' | 'express'

// A service as its users would write it: it serves with its keys or not at all. It ends when its stdin does.
const config = defineConfig({ keyrings: { app: { root: env('ROOT') } }, fields: {} })
const pool = new Pool({ connectionString: process.env.DATABASE_URL ?? '' })
const options = {
  keyturn: () => open(config, { pool }),
  authorize: ({ headers }: { readonly headers: { readonly authorization?: string | undefined } }) =>
    headers.authorization ? 'user:ada' : null,
}

async function serveFastify(): Promise<() => Promise<void>> {
  const app = fastify()
  await app.register(keyturnFastify, { ...options, prefix: '/internal' })
  app.get('/of-the-application', async () => `keyring ${Object.keys(app.keyturn.config.keyrings)}`)
  console.log(`listening at ${await app.listen({ port: 0, host: '127.0.0.1' })}`)
  return () => app.close()
}

async function serveExpress(): Promise<() => Promise<void>> {
  const admin = await keyturnExpress(options)
  const app = express().use('/internal', admin)
  app.get('/of-the-application', (_request, response) => void response.send(`keyring ${Object.keys(admin.keyturn.config.keyrings)}`))
  const server = app.listen(0, '127.0.0.1', () => console.log(`listening at http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  return async () => {
    server.closeAllConnections()
    server.close()
    await admin.close()
  }
}

try {
  const close = await ((process.argv[2] as Framework) === 'fastify' ? serveFastify() : serveExpress())
  process.stdin.resume().on('end', async () => {
    await close()
    await pool.end()
  })
} catch (error) {
  console.error(`not served: ${(error as { code?: string }).code}`)
  process.exit(1)
}
