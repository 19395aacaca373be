import { defineConfig, env } from '../../packages/core/src/config/config.ts'

/** Fields in every kind of column, all under one stored keyring. */
export const everyKind = defineConfig({
  refreshMs: 200,
  keyrings: { app: { root: env('ROOT') } },
  fields: {
    'things.token': { column: 'things.token', keyring: 'app', bind: ['id'] },
    'things.bin': { column: 'things.bin', keyring: 'app' },
    'things.j': { column: 'things.j:/keys/*', keyring: 'app' },
    'things.jb': { column: 'things.jb:/keys/*', keyring: 'app' },
    'things.jt': { column: 'things.jt:/keys/*', keyring: 'app' },
    'things.legacy': { column: 'things.legacy', keyring: 'app', writes: 'hex-colon', keyId: 'legacy_key' },
  },
})

/** One field in one column. */
export const oneField = defineConfig({
  refreshMs: 200,
  keyrings: { app: { root: env('ROOT') } },
  fields: { 'things.token': { column: 'things.token', keyring: 'app', bind: ['id'] } },
})
export const keys = { ROOT: 'ab'.repeat(32) }
export const fast = { throttle: { share: 1 } }

export const things = `CREATE TABLE things (id bigint PRIMARY KEY, token text, bin bytea, j json, jb jsonb, jt text, legacy text, legacy_key text, note text)`
