import { defineConfig, env } from '../../packages/core/src/config/config.ts'

/** A configuration with a stored keyring, whose processes learn of a new version within a fifth of a second. */
export const storedConfig = defineConfig({
  refreshMs: 100,
  keyrings: { app: { root: env('ROOT') } },
  fields: {
    'tokens.token': {
      column: 'tokens.token',
      keyring: 'app',
      bind: ['id'],
      reads: [{ codec: 'hex-colon', key: env('OLD'), keyRule: 'hex' }],
    },
  },
})
export const storedEnv = { ROOT: 'ab'.repeat(32), OLD: '11'.repeat(32) }
