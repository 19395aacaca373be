import { createApp } from './app.ts'
import { endWith, fatal, logger, openWorld } from './process.ts'
import { readServing } from './settings.ts'

async function start(): Promise<void> {
  const serving = readServing(process.env)
  const { close, ...world } = await openWorld()
  const app = await createApp({ serving, logger, ...world })
  const url = await app.listen({ host: serving.host, port: serving.port })
  logger.info(`listening on ${url}`)
  endWith(async () => {
    await app.close()
    await close()
  })
}

await start().catch(fatal)
