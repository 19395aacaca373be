import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import express from 'express'
import { adminRoutes, type Serve } from '../../../../test/adapters/admin.ts'
import keyturnExpress from './express.ts'

const serve: Serve = async (serving) => {
  const admin = await keyturnExpress(serving)
  const app = express()
    .use(serving.prefix ?? '/', admin)
    .use(express.json())
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await promisify(server.close.bind(server))()
      await admin.close()
    },
  }
}
adminRoutes('express', serve)
