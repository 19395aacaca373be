import { env } from '@keyturn/core'
import { defineSecrets, type SecretConfig } from '@keyturn/secrets'
import { elsewhere } from './elsewhere.ts'
import { defined, handbook, type Places } from './places.ts'

type StoreConfig = NonNullable<SecretConfig['stores']>[number]
type TargetConfig = NonNullable<SecretConfig['targets']>[number]
type GateConfig = NonNullable<SecretConfig['gates']>[number]

/** Every credential of CloudForge: who answers for it, where it stands, how often it changes, and what shows that it works. */
export function inventory(places: Places) {
  const { api, grace, entra, aws } = places
  /** The source of truth: `op://cloudforge/ITEM/FIELD`. A rotation writes there; what people write there, `keyturn secrets sync` takes over. */
  const vault = (item: string, values: StoreConfig['values']): StoreConfig => {
    const connect = { endpoint: places.connect, token: env('OP_CONNECT_TOKEN') }
    return { store: 'one-password', ...connect, vault: 'cloudforge', item, values, truth: true }
  }
  const app = { app: 'cloudforge', token: env('FLY_API_TOKEN'), ...places.fly }
  /** What the machines boot with. */
  const variables = (values: StoreConfig['values']): StoreConfig => ({ store: 'fly', ...app, probe: true, values })
  const machines: TargetConfig = { target: 'fly', ...app }
  // The log comes first: a refused login takes a run back at once, where an ill service is given time to get well.
  const works = (component?: string): GateConfig[] => [
    { gate: 'log-errors', ...places.log, pattern: '"event":"authentication-failed"', windowMs: places.watchMs },
    ...(component === undefined ? [] : [{ gate: 'health', url: `${api}/health`, path: `.components.${component}`, settleMs: 60_000 }]),
    { gate: 'smoke', url: `${api}/v1/projects`, basic: { user: env('SMOKE_CLIENT'), password: env('SMOKE_SECRET') }, settleMs: 60_000 },
  ]
  const { bouncer } = places
  /** Where the API logs in to Postgres. */
  const pooled = bouncer?.address ?? places.postgres
  const bouncerUsers: StoreConfig[] =
    bouncer === undefined
      ? []
      : [
          {
            store: 'pgbouncer',
            path: bouncer.users,
            console: env('PGBOUNCER_CONSOLE_URL'),
            // Both roles are let in until no machine comes as the old one any more.
            values: { current: '{user} {verifier}', previous: '{previous.user} {previous.verifier}' },
          },
        ]
  const quarterly = { every: '90d', window: '02:00-05:00', jitter: '2h' } as const
  const secret = (config: Omit<SecretConfig, 'targets' | 'runbook'> & { readonly anchor: string }): SecretConfig => {
    const { anchor, ...rest } = config
    return { grace: grace.others, targets: [machines], runbook: `${handbook}#${anchor}`, ...rest }
  }

  return defineSecrets({
    'jwt-signing-key': secret({
      owner: 'platform',
      group: 'integrations',
      anchor: 'jwt-signing-key',
      rotator: { rotator: 'jwt-secret', algorithm: 'HS256' },
      ...quarterly,
      automatic: true,
      grace: grace.tokens,
      stores: [
        vault('jwt-signing-key', { credential: '{value}' }),
        variables({ JWT_SECRET: '{value}', JWT_NEXT: '{next.value}', JWT_PREVIOUS_SIGNING_KEY: '{previous.value}' }),
      ],
      gates: works(),
    }),
    postgres: secret({
      owner: 'platform',
      group: 'postgres',
      anchor: 'postgres',
      rotator: {
        rotator: 'postgres-roles',
        admin: env('POSTGRES_ADMIN_URL'),
        roles: places.postgresRoles,
        address: `postgres://${places.postgres}`,
        endSessions: true,
      },
      ...quarterly,
      automatic: true,
      stores: [
        vault('postgres', { username: '{user}', password: '{password}' }),
        // It lets in who stands there, and has to know the new role before anybody comes as that one.
        ...bouncerUsers,
        variables({ DATABASE_URL: `postgres://{user}:{password}@${pooled}` }),
      ],
      gates: [{ gate: 'logins', url: `postgres://{user}:{password}@${pooled}` }, ...works('postgres')],
    }),
    redis: secret({
      owner: 'platform',
      group: 'integrations',
      anchor: 'redis',
      rotator: { rotator: 'redis-acl', nodes: [env('REDIS_ADMIN_URL')], user: 'cloudforge' },
      ...quarterly,
      automatic: true,
      stores: [
        vault('redis', { username: '{user}', password: '{password}' }),
        variables({ REDIS_URL: `redis://{user}:{password}@${places.redis}` }),
      ],
      gates: [{ gate: 'logins', url: `redis://{user}:{password}@${places.redis}` }, ...works('redis')],
    }),
    anthropic: secret({
      owner: 'intelligence',
      group: 'integrations',
      anchor: 'anthropic',
      rotator: defined({ rotator: 'anthropic-key', admin: env('ANTHROPIC_ADMIN_KEY'), endpoint: places.anthropic }),
      every: '180d',
      automatic: false,
      risk: 'high',
      stores: [vault('anthropic', { credential: '{value}' }), variables({ ANTHROPIC_API_KEY: '{value}' })],
      gates: works('ai_provider'),
    }),
    openai: secret({
      owner: 'intelligence',
      group: 'integrations',
      anchor: 'openai',
      rotator: { rotator: 'openai-key', admin: env('OPENAI_ADMIN_KEY'), ...places.openai },
      every: '180d',
      automatic: true,
      risk: 'high',
      stores: [vault('openai', { credential: '{value}' }), variables({ OPENAI_API_KEY: '{value}' })],
      gates: works('ai_provider'),
    }),
    okta: secret({
      owner: 'security',
      group: 'integrations',
      anchor: 'okta',
      rotator: { rotator: 'okta-api-token', org: places.okta, admin: env('OKTA_ADMIN_TOKEN') },
      every: '90d',
      automatic: false,
      stores: [vault('okta', { credential: '{value}' }), variables({ OKTA_API_TOKEN: '{value}' })],
      gates: works('identity_provider'),
    }),
    entra: secret({
      owner: 'security',
      group: 'integrations',
      anchor: 'entra',
      rotator: defined({
        rotator: 'entra-client-secret',
        tenant: entra.tenant,
        clientId: entra.clientId,
        admin: { clientId: entra.adminId, clientSecret: env('ENTRA_ADMIN_SECRET') },
        scope: entra.scope,
        login: entra.login,
        graph: entra.graph,
        api: entra.api,
      }),
      every: '365d',
      automatic: true,
      stores: [vault('entra', { credential: '{clientSecret}' }), variables({ ENTRA_CLIENT_SECRET: '{clientSecret}' })],
      gates: works('identity_provider'),
    }),
    aws: secret({
      owner: 'platform',
      group: 'integrations',
      anchor: 'aws',
      rotator: { rotator: 'aws-iam-access-key', ...aws },
      every: '90d',
      automatic: true,
      stores: [
        vault('aws', { username: '{accessKeyId}', credential: '{secretAccessKey}' }),
        variables({ AWS_ACCESS_KEY_ID: '{accessKeyId}', AWS_SECRET_ACCESS_KEY: '{secretAccessKey}' }),
      ],
      gates: works('aws'),
    }),
    // Bought by the year: people make it and end it, and Keyturn brings it from its item to the machines.
    'threat-feed': secret({
      owner: 'intelligence',
      group: 'threat-intelligence',
      anchor: 'threat-feed',
      rotator: { rotator: 'kept', request: { url: `${places.feed}/v1/account`, headers: { 'x-api-key': '{value}' } } },
      every: '365d',
      risk: 'high',
      stores: [vault('threat-feed', { credential: '{value}' }), variables({ THREAT_FEED_KEY: '{value}' })],
      gates: works('threat_intelligence'),
    }),
    ...elsewhere(places),
  })
}
