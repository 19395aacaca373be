/** The configuration that `keyturn init` writes: every part of it, explained where it stands. */
export const template = `import { defineConfig, env } from '@keyturn/core'

// What the application and the command share. It names where keys are, and holds none.
//   keyturn doctor   checks it
//   keyturn plan     shows what a rotation would do, and changes nothing
export default defineConfig({
  database: env('DATABASE_URL'),

  keyrings: {
    // Kept in the database, wrapped under a root key. "keyturn keygen" prints one.
    app: { root: env('KEYTURN_ROOT_KEY') },
  },

  fields: {
    // One entry for each column of encrypted values. It writes "kt1" under its keyring, bound to its row,
    // and still reads what is there now.
    //
    // 'users.token': {
    //   column: 'users.token',
    //   keyring: 'app',
    //   bind: ['id'],
    //   insertedFirst: true, // where the database assigns the id
    //   reads: [{ codec: 'hex-colon', key: env('ENCRYPTION_KEY'), keyRule: 'hex' }],
    // },
  },
})
`

/** The same as JSON, which has no comments. */
export const jsonTemplate = `${JSON.stringify(
  {
    $schema: './node_modules/@keyturn/core/config.schema.json',
    database: { env: 'DATABASE_URL' },
    keyrings: { app: { root: { env: 'KEYTURN_ROOT_KEY' } } },
    fields: {},
  },
  null,
  2,
)}\n`
