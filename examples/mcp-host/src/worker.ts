import { startWorker } from './calls.ts'
import { endWith, fatal, logger, openWorld } from './process.ts'

async function start(): Promise<void> {
  const { close, ...world } = await openWorld()
  const worker = startWorker(world)
  worker.on('failed', (job, { name }) => logger.warn({ event: 'call-failed', call: job?.id, name }))
  worker.on('error', ({ name }) => logger.error({ event: 'worker-failed', name }))
  logger.info('encryption is ready: waiting for calls')
  endWith(async () => {
    await worker.close()
    await close()
  })
}

await start().catch(fatal)
