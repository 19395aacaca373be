/** A setting that is missing or makes no sense. The message holds no value. */
export class SettingError extends Error {}

const FEWEST_CHARACTERS = 32

/** What a developer's machine has who sets nothing. Everybody can read it here. */
const defaults = {
  SESSION_SECRET: 'change-me: signs the cookies of a developer',
  JWT_SECRET: 'change-me: signs the tokens of a developer',
}

/** The environment with the defaults of development, outside of production. An empty variable counts as unset. */
export function environment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  return env.NODE_ENV === 'production' ? set : { ...defaults, ...set }
}

/** What the environment says, apart from the keys: those are read by Keyturn, as src/encryption.ts names them. */
export function readSettings(env: NodeJS.ProcessEnv) {
  const { DATABASE_URL, REDIS_URL, OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, SESSION_SECRET = '' } = env
  if (!DATABASE_URL || !REDIS_URL) throw new SettingError('DATABASE_URL and REDIS_URL must be set')
  if (!OIDC_ISSUER || !OIDC_CLIENT_ID || !OIDC_CLIENT_SECRET)
    throw new SettingError('OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET must be set')
  if (SESSION_SECRET.length < FEWEST_CHARACTERS) throw new SettingError(`SESSION_SECRET must have at least ${FEWEST_CHARACTERS} characters`)
  const [host, port] = [env.HOST || '127.0.0.1', Number(env.PORT || 4200)]
  return {
    databaseUrl: DATABASE_URL,
    redisUrl: REDIS_URL,
    sessionSecret: SESSION_SECRET,
    oidc: { issuer: new URL(OIDC_ISSUER), clientId: OIDC_CLIENT_ID, clientSecret: OIDC_CLIENT_SECRET },
    /** Subjects of the provider who may change things. */
    admins: (env.ADMINS ?? '').split(',').map((name) => name.trim()),
    /** Where browsers find the application. */
    publicUrl: env.PUBLIC_URL || `http://${host}:${port}`,
    /** In development sessions are plain JSON for as long as there is no key. */
    sealsSessions: env.NODE_ENV === 'production' || env.SESSION_ENCRYPTION_KEY !== undefined,
    host,
    port,
  }
}
