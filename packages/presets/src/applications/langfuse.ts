import type { Preset, PresetField } from '../preset.ts'

/** Three lower-case hexadecimal segments, the tag last. */
const format = { codec: 'hex-colon', order: 'iv.ct.tag' } as const

// What langfuse's encrypt makes of the empty string, and its decrypt refuses: there is nothing in it to lose, and rewritten it
// would be as unreadable as before.
const sealedNothing = '[0-9a-f]{24}::[0-9a-f]{32}'

// The column holds secrets that its public API once stored unencrypted, until a background migration of langfuse has found them. Never
// what looks like a ciphertext, and never Keyturn's own format: kept, it would not be rotated again.
const notEncryptedYet = '(?!kt[0-9]+\\.)[^:]+'

const value = (column: string, bind: readonly string[], more: Partial<PresetField> = {}): PresetField => ({
  column,
  bind,
  writes: format,
  keep: sealedNothing,
  ...more,
})
/** A place that older versions do not have. */
const later = { optional: true } as const
/** Of the headers of a request only those are encrypted that are marked so. */
const secretHeaders = { where: { secret: true }, ...later } as const

/**
 * Langfuse keeps the credentials of its integrations under one `ENCRYPTION_KEY`, and knows one such key at a time.
 *
 * All documents are `jsonb`: Prisma's `Json` on Postgres, and `JSONB` in langfuse's migrations (`sso_configs.auth_config`,
 * `actions.config`, `datasets.remote_experiment_request_headers`).
 */
const langfuse: Preset = {
  name: 'langfuse',
  application: 'Langfuse',
  tested: 'langfuse@6275144 (2026-08-22)',
  source: {
    repository: 'langfuse/langfuse',
    commit: '62751446149b702b419a9292ddfc2280cdf74b8c',
    paths: [
      'packages/shared/src/encryption/encryption.ts',
      'packages/shared/src/env.ts',
      'packages/shared/prisma/schema.prisma',
      'packages/shared/prisma/migrations',
      'packages/shared/src/server/utils/headerUtils.ts',
      'worker/src/backgroundMigrations/encryptBlobStorageSecrets.ts',
    ],
  },
  key: {
    env: 'ENCRYPTION_KEY',
    rule: 'hex',
    note: '64 hexadecimal digits. The docker-compose.yml of langfuse has 64 zeros as its default: who never changed it has a key that everybody knows',
  },
  mode: 'transaction',
  online: 'langfuse knows one key, so that while it runs it could not read the values that are rewritten, or those that are not yet',
  // biome-ignore format: a table is read by its lines
  fields: {
    'langfuse.llm-api-key': value('llm_api_keys.secret_key', ['id']),
    'langfuse.llm-extra-headers': value('llm_api_keys.extra_headers', ['id'], later),
    'langfuse.slack-bot-token': value('slack_integrations.bot_token', ['id'], later),
    'langfuse.sso-client-secret': value('sso_configs.auth_config:/clientSecret', ['domain']),
    'langfuse.posthog-api-key': value('posthog_integrations.encrypted_posthog_api_key', ['project_id']),
    'langfuse.mixpanel-token': value('mixpanel_integrations.encrypted_mixpanel_project_token', ['project_id'], later),
    'langfuse.blob-storage-secret': value('blob_storage_integrations.secret_access_key', ['project_id'], { ...later, empty: 'keep', keep: `${notEncryptedYet}|${sealedNothing}` }),
    'langfuse.action-secret-key': value('actions.config:/secretKey', ['id'], later),
    'langfuse.action-header': value('actions.config:/requestHeaders/*/value', ['id'], secretHeaders),
    'langfuse.action-github-token': value('actions.config:/githubToken', ['id'], later),
    'langfuse.dataset-secret-key': value('datasets.remote_experiment_secret_key', ['id', 'project_id'], later),
    'langfuse.dataset-header': value('datasets.remote_experiment_request_headers:/*/value', ['id', 'project_id'], secretHeaders),
    'langfuse.web-callout-headers': value('web_callout_endpoints.request_headers', ['id'], later),
  },
  alsoUsedFor: [
    {
      what: 'backups and dumps of the database',
      becomes: 'they hold values under the old key: keep it apart for as long as they are kept',
    },
  ],
  notAffected: ['the API keys of langfuse itself, which are hashed with SALT', 'sign-in sessions, which are signed with NEXTAUTH_SECRET'],
}
export default langfuse
