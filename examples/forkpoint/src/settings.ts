/** A setting that is missing or makes no sense. The message holds no value. */
export class SettingError extends Error {}

const FEWEST_CHARACTERS = 16

/** What the environment says, apart from the keys that encrypt: those are read by Keyturn, as src/encryption.ts names them. */
export function readSettings(env: NodeJS.ProcessEnv) {
  const { DATABASE_URL, ADMIN_PASSWORD, JWT_SECRET = '', ENCRYPTION_JWT_FALLBACK = 'on' } = env
  if (!DATABASE_URL || !ADMIN_PASSWORD) throw new SettingError('DATABASE_URL and ADMIN_PASSWORD must be set')
  if (JWT_SECRET.length < FEWEST_CHARACTERS) throw new SettingError(`JWT_SECRET must have at least ${FEWEST_CHARACTERS} characters`)
  if (!['on', 'off'].includes(ENCRYPTION_JWT_FALLBACK)) throw new SettingError('ENCRYPTION_JWT_FALLBACK must be "on" or "off"')
  return {
    databaseUrl: DATABASE_URL,
    password: ADMIN_PASSWORD,
    jwtSecret: JWT_SECRET,
    jwtSecretPrevious: env.JWT_SECRET_PREVIOUS ?? '',
    /** Whether `JWT_SECRET` encrypts while there is no key, and decrypts while there is one. */
    fallback: ENCRYPTION_JWT_FALLBACK === 'on',
    slack: { clientId: env.SLACK_CLIENT_ID ?? '', clientSecret: env.SLACK_CLIENT_SECRET ?? '' },
    addresses: { slack: env.SLACK_API_URL || 'https://slack.com/api' },
    host: env.HOST || '127.0.0.1',
    port: Number(env.PORT || 4100),
  }
}
