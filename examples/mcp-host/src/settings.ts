/** A setting that is missing or makes no sense. The message holds no value. */
export class SettingError extends Error {}

/** Where the root key is, and how often a process loads the keys again. */
export interface KeySettings {
  /** `KMS_KEY_ID` is set: the root key is in AWS KMS, and wraps what is new. */
  readonly kms: boolean
  /** `SECRETS_ENCRYPTION_KEY` is set: it wraps keys, or opens what is older. */
  readonly kek: boolean
  /** `SECRETS_ENCRYPTION_KEY_PREVIOUS` is set: it opens, and wraps nothing. */
  readonly previousKek: boolean
  readonly refreshMs: number
  /** `CERTIFICATE_KEY` is set: rotations and retirements are certified. */
  readonly certified: boolean
}

const FEWEST_CHARACTERS = 16

/** What the environment says to every process, apart from the keys: those are read by Keyturn, as src/encryption.ts names them. */
export function readSettings(env: NodeJS.ProcessEnv) {
  const { DATABASE_URL, REDIS_URL } = env
  if (!DATABASE_URL || !REDIS_URL) throw new SettingError('DATABASE_URL and REDIS_URL must be set')
  const keys: KeySettings = {
    kms: Boolean(env.KMS_KEY_ID),
    kek: Boolean(env.SECRETS_ENCRYPTION_KEY),
    previousKek: Boolean(env.SECRETS_ENCRYPTION_KEY_PREVIOUS),
    refreshMs: Number(env.KEY_REFRESH_MS || 2_000),
    certified: Boolean(env.CERTIFICATE_KEY),
  }
  if (!keys.kms && !keys.kek)
    throw new SettingError('a root key must be set: SECRETS_ENCRYPTION_KEY (32 bytes as 64 hexadecimal characters), or KMS_KEY_ID')
  return { databaseUrl: DATABASE_URL, redisUrl: REDIS_URL, keys }
}

/** What the process that serves is told besides. */
export function readServing(env: NodeJS.ProcessEnv) {
  const { ADMIN_PASSWORD = '' } = env
  if (ADMIN_PASSWORD.length < FEWEST_CHARACTERS) throw new SettingError(`ADMIN_PASSWORD must have at least ${FEWEST_CHARACTERS} characters`)
  return {
    host: env.HOST || '127.0.0.1',
    port: Number(env.PORT || 4300),
    admin: { name: env.ADMIN_NAME || 'admin', password: ADMIN_PASSWORD },
    /** Behind a proxy that ends TLS: its address, so that the addresses of clients are believed from there and from nowhere else. */
    trustedProxy: env.TRUSTED_PROXY || false,
    /** Browsers come by TLS: the cookie is then for TLS alone. */
    secure: env.PUBLIC_URL?.startsWith('https:') ?? false,
  } as const
}
export type Serving = ReturnType<typeof readServing>
