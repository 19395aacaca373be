/** A setting that is missing or makes no sense. The message holds no value. */
export class SettingError extends Error {}

export type Settings = ReturnType<typeof readSettings>

const FEWEST_CHARACTERS = 32

/** What the environment says at the start. Nothing is read again later: a new secret needs a new process. */
export function readSettings(env: NodeJS.ProcessEnv) {
  const set = (name: string): string => {
    const value = env[name]
    if (!value) throw new SettingError(`${name} must be set`)
    return value
  }
  const signing = (name: string): string | null => {
    const value = env[name]
    if (!value) return null
    if (value.length < FEWEST_CHARACTERS) throw new SettingError(`${name} must have at least ${FEWEST_CHARACTERS} characters`)
    return value
  }
  const jwt = signing('JWT_SECRET')
  if (jwt === null) throw new SettingError('JWT_SECRET must be set')
  return {
    databaseUrl: set('DATABASE_URL'),
    redisUrl: set('REDIS_URL'),
    /** The first one signs; all verify. */
    signingSecrets: [jwt, signing('JWT_NEXT'), signing('JWT_PREVIOUS_SIGNING_KEY')].filter((secret) => secret !== null),
    anthropic: { key: set('ANTHROPIC_API_KEY'), url: env.ANTHROPIC_BASE_URL || 'https://api.anthropic.com' },
    openai: { key: set('OPENAI_API_KEY'), url: env.OPENAI_BASE_URL || 'https://api.openai.com/v1' },
    feed: { key: set('THREAT_FEED_KEY'), url: env.THREAT_FEED_URL || 'https://feed.example' },
    okta: { token: set('OKTA_API_TOKEN'), org: set('OKTA_ORG_URL') },
    entra: {
      clientId: set('ENTRA_CLIENT_ID'),
      clientSecret: set('ENTRA_CLIENT_SECRET'),
      tenant: set('ENTRA_TENANT_ID'),
      login: env.ENTRA_LOGIN_URL || 'https://login.microsoftonline.com',
      scope: env.ENTRA_SCOPE || 'https://graph.microsoft.com/.default',
    },
    aws: {
      accessKeyId: set('AWS_ACCESS_KEY_ID'),
      secretAccessKey: set('AWS_SECRET_ACCESS_KEY'),
      region: env.AWS_REGION || 'eu-central-1',
      sts: env.AWS_ENDPOINT_URL_STS || `https://sts.${env.AWS_REGION || 'eu-central-1'}.amazonaws.com`,
    },
    host: env.HOST || '127.0.0.1',
    port: Number(env.PORT || 4500),
  }
}
