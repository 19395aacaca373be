/** The admin API and the console of Keyturn: as a plugin for Fastify, and as a server of its own. */
export type { Access, Caller, Role } from './access.ts'
export type { Authorize } from './application-access.ts'
export { buildConsole, findConsole } from './pages/console.ts'
export { keyturnServer, keyturnServer as default, type ServerOptions } from './plugin.ts'
export { assertProtected, type ServeOptions, serve } from './serve.ts'
