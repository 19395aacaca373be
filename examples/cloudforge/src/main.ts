import { createApp } from './app.ts'
import { logTo } from './log.ts'
import { readSettings, SettingError } from './settings.ts'

const log = logTo((line) => process.stdout.write(line))

/** One API process. Ends with 1 where it cannot serve: a machine that does not start keeps the one before it. */
async function start(): Promise<void> {
  const app = await createApp(readSettings(process.env), log)
  log('listening', { url: await app.listen() })
  process.once('SIGTERM', async () => {
    await app.close()
    process.exit(0)
  })
}

await start().catch((error: unknown) => {
  // A foreign error may quote an address with a password in it.
  log('start-failed', { why: error instanceof SettingError ? error.message : 'Redis or the system failed' })
  process.exit(1)
})
