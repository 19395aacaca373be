import { defineConfig, env } from '@keyturn/core'
import { sealedSecrets } from '@keyturn/secrets'
import { alerts } from './alerts.ts'
import { inventory } from './inventory.ts'

/** What `keyturn secrets` works with in production. */
export default defineConfig({
  database: env('KEYTURN_DATABASE_URL'),
  keyrings: { secrets: { root: env('KEYTURN_ROOT_KEY') } },
  fields: { ...sealedSecrets('secrets') },
  alerts: alerts(),
  secrets: inventory({
    api: 'https://api.cloudforge.example',
    postgres: 'db.internal:5432/cloudforge',
    postgresRoles: ['cloudforge_a', 'cloudforge_b'],
    // On this machine: Keyturn writes its file of users and has it reload.
    bouncer: { address: 'pool.internal:6432/cloudforge', users: '/etc/pgbouncer/users.txt' },
    warehouse: {
      address: 'postgres://warehouse.internal:5432/warehouse',
      lambda: 'arn:aws:lambda:eu-central-1:111122223333:function:rotate-warehouse',
    },
    redis: 'cache.internal:6379',
    connect: 'http://connect.internal:8080',
    openai: { project: 'proj_cloudforge' },
    okta: 'https://cloudforge.okta.com',
    feed: 'https://feed.example',
    entra: {
      tenant: 'cloudforge.onmicrosoft.com',
      clientId: '2f9a1f3e-7c1b-4c58-9c0d-6f1b2a3c4d5e',
      adminId: '8d7c6b5a-4f3e-4d2c-8b1a-0f9e8d7c6b5a',
    },
    aws: { region: 'eu-central-1', user: 'cloudforge-api' },
    log: { command: ['fly', 'logs', '--no-tail', '--app', 'cloudforge'] },
    watchMs: 300_000,
    grace: { tokens: '24h', others: '1h' },
  }),
})
