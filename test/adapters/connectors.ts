import { defineConfig, env } from '../../packages/core/src/config/config.ts'

/** A host of secrets in the older form and of documents under a key from the environment. */
const configOf = (refreshMs: number) =>
  defineConfig({
    refreshMs,
    keyrings: {
      app: { root: env('ROOT') },
      connectors: { primary: env('CONNECTOR_KEY'), previous: [env('CONNECTOR_KEY_PREVIOUS')] },
    },
    fields: {
      secret: {
        column: 'secrets.value',
        keyId: 'keyId',
        keyring: 'app',
        writes: 'hex-colon',
        reads: [{ codec: 'hex-colon', key: env('KEK') }],
      },
      note: { column: 'connectors.note', keyring: 'connectors', writes: 'hex-colon' },
      header: { column: 'connectors.config:/headers/*/value', keyring: 'connectors', writes: 'hex-colon', where: { secret: true } },
    },
  })
export const [oldKey, newKey] = ['0d'.repeat(32), 'ae'.repeat(32)]
export const keys = { ROOT: 'ab'.repeat(32), KEK: 'cd'.repeat(32), CONNECTOR_KEY: newKey, CONNECTOR_KEY_PREVIOUS: oldKey }
export const tables = `
CREATE TABLE secrets (id int PRIMARY KEY, value text NOT NULL, "keyId" text);
CREATE TABLE connectors (id int PRIMARY KEY, config jsonb NOT NULL, note text);`

export const config = configOf(100)
/** Of who only writes: on a busy machine no refresh comes in time for a short interval. */
export const calm = configOf(3_600_000)
