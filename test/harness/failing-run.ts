import { startPostgres } from './server.ts'

// What a run with failing tests comes to: the server stopped, a code set, nothing left to do.
const server = await startPostgres()
process.exitCode = 1
await server.stop()
