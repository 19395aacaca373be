import fastify from 'fastify'
import { adminRoutes, type Serve } from '../../../../test/adapters/admin.ts'
import keyturnFastify from './fastify.ts'

const serve: Serve = async (serving) => {
  const app = fastify()
  try {
    await app.register(keyturnFastify, serving)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { url, close: () => app.close() }
  } catch (error) {
    await app.close()
    throw error
  }
}
adminRoutes('fastify', serve)
