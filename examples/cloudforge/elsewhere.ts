import { env } from '@keyturn/core'
import type { SecretConfig } from '@keyturn/secrets'
import { defined, handbook, type Places } from './places.ts'

/** Credentials of what does not run on Fly: its consumers read them where they stand, at each use. */
export function elsewhere({ aws: { region, endpoint, credentials }, entra, grace, warehouse }: Places) {
  const inAws = defined({ region, endpoint, credentials })
  const common = { grace: grace.others, owner: 'data' } as const
  return {
    // An RDS database with two users that take turns. AWS rotates it by a function of its own; Keyturn turns that on, starts it, watches it, and logs
    // in with what came of it.
    warehouse: {
      ...common,
      rotator: {
        rotator: 'aws-secrets-manager-rotation',
        ...inAws,
        secret: 'cloudforge/warehouse',
        users: 'two',
        everyDays: 90,
        ...warehouse,
      },
      // Nothing has to be named: AWS says what is in use.
      first: {},
      gates: [{ gate: 'logins', url: warehouse.address.replace('//', '//{user}:{password}@') }],
      every: '90d',
      automatic: true,
      runbook: `${handbook}#warehouse`,
    },
    'session-cache': {
      ...common,
      rotator: { rotator: 'elasticache-auth', ...inAws, group: 'cloudforge-sessions', address: 'rediss://sessions.internal:6379' },
      every: '90d',
      automatic: true,
      first: { token: env('SESSION_CACHE_TOKEN') },
      stores: [{ store: 'aws-secrets-manager', ...inAws, secret: 'cloudforge/session-cache', values: { token: '{token}' } }],
      runbook: `${handbook}#session-cache`,
    },
    azure: {
      ...common,
      rotator: defined({
        rotator: 'entra-client-secret',
        tenant: entra.tenant,
        clientId: '5b1d4a2c-0e3f-4f6a-8d7b-9c8e7f6a5b4d',
        admin: { clientId: entra.adminId, clientSecret: env('ENTRA_ADMIN_SECRET') },
        login: entra.login,
        graph: entra.graph,
      }),
      every: '365d',
      automatic: true,
      first: { clientSecret: env('AZURE_CLIENT_SECRET') },
      stores: [
        {
          store: 'azure-key-vault',
          vault: 'https://cloudforge.vault.azure.net',
          tenant: entra.tenant,
          clientId: entra.adminId,
          clientSecret: env('ENTRA_ADMIN_SECRET'),
          values: { 'reports-client-secret': '{clientSecret}' },
        },
      ],
      runbook: `${handbook}#azure`,
    },
    gcp: {
      ...common,
      rotator: { rotator: 'gcp-service-account-key', account: 'exports@cloudforge.iam.gserviceaccount.com', admin: env('GCP_ADMIN_KEY') },
      every: '90d',
      automatic: true,
      first: { keyFile: env('GCP_KEY') },
      stores: [{ store: 'gcp-secret-manager', project: 'cloudforge', admin: env('GCP_ADMIN_KEY'), values: { 'exports-key': '{keyFile}' } }],
      runbook: `${handbook}#gcp`,
    },
  } satisfies { readonly [name: string]: SecretConfig }
}
