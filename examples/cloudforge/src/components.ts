import { Redis } from 'ioredis'
import pg from 'pg'
import { AwsRefusal, callerIdentity } from './aws.ts'
import type { Log } from './log.ts'
import type { Settings } from './settings.ts'

/** `refused`: the credential is not accepted. `down`: nobody could be asked. */
export type Health = 'ok' | 'refused' | 'down'

const WAIT_MS = 5_000

/** A service that this application logs in to did not accept the credential. `code` is its word for that. */
class Refused extends Error {
  readonly code: string
  constructor(code: string | number) {
    super('refused')
    this.code = String(code)
  }
}

/**
 * Tries each credential as it is used, over a connection made for it: one that was open before goes on working whatever becomes of the
 * password.
 */
export class Components {
  readonly #settings: Settings
  readonly #log: Log

  constructor(settings: Settings, log: Log) {
    this.#settings = settings
    this.#log = log
  }

  /** All of them: those of a group together, the worst of which counts. */
  async all(): Promise<Record<'postgres' | 'redis' | 'ai_provider' | 'identity_provider' | 'aws' | 'threat_intelligence', Health>> {
    const [postgres, redis, anthropic, openai, okta, entra, aws, feed] = await Promise.all([
      this.#try('postgres', () => this.#postgres()),
      this.#try('redis', () => this.#redis()),
      this.#try('anthropic', () => this.#anthropic()),
      this.#try('openai', () => this.#openai()),
      this.#try('okta', () => this.#okta()),
      this.#try('entra', () => this.#entra()),
      this.#try('aws', () => this.#aws()),
      this.#try('threat-feed', () => this.#feed()),
    ])
    const [ai_provider, identity_provider] = [worst(anthropic, openai), worst(okta, entra)]
    return { postgres, redis, ai_provider, identity_provider, aws, threat_intelligence: feed }
  }

  /** Says in the log what an error of a service means, where the error came up in a request. */
  noteFailure(component: string, error: unknown): void {
    const code = refusalOf(error)
    if (code === null) this.#log('component-failed', { component })
    else this.#log('authentication-failed', { component, code })
  }

  /** The login of the Okta user whose token this is. */
  async #okta(): Promise<void> {
    const { org, token } = this.#settings.okta
    await asked(`${org}/api/v1/users/me`, { headers: { authorization: `SSWS ${token}` } })
  }

  async #try(component: string, work: () => Promise<unknown>): Promise<Health> {
    try {
      await work()
      return 'ok'
    } catch (error) {
      this.noteFailure(component, error)
      return refusalOf(error) === null ? 'down' : 'refused'
    }
  }

  async #postgres(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#settings.databaseUrl, connectionTimeoutMillis: WAIT_MS, query_timeout: WAIT_MS })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query('SELECT 1')
    } finally {
      await client.end().catch(() => {})
    }
  }

  async #redis(): Promise<void> {
    const client = new Redis(this.#settings.redisUrl, {
      lazyConnect: true,
      retryStrategy: () => null,
      connectTimeout: WAIT_MS,
      commandTimeout: WAIT_MS,
      maxRetriesPerRequest: 0,
    })
    // A refused log-in is told here; `connect` only says that the connection is closed.
    let refusal: unknown
    client.on('error', (error) => {
      refusal ??= error
    })
    try {
      await client.connect()
      await client.ping()
    } catch (error) {
      throw refusal ?? error
    } finally {
      client.disconnect()
    }
  }

  async #anthropic(): Promise<void> {
    const { url, key } = this.#settings.anthropic
    await asked(`${url}/v1/models?limit=1`, { headers: { 'x-api-key': key, 'anthropic-version': '2023-06-01' } })
  }

  async #openai(): Promise<void> {
    const { url, key } = this.#settings.openai
    await asked(`${url}/models`, { headers: { authorization: `Bearer ${key}` } })
  }

  async #feed(): Promise<void> {
    const { url, key } = this.#settings.feed
    await asked(`${url}/v1/account`, { headers: { 'x-api-key': key } })
  }

  async #entra(): Promise<void> {
    const { login, tenant, clientId, clientSecret, scope } = this.#settings.entra
    const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope }
    await asked(`${login}/${tenant}/oauth2/v2.0/token`, { method: 'POST', body: new URLSearchParams(form) }, [400, 401])
  }

  async #aws(): Promise<void> {
    await callerIdentity(this.#settings.aws, AbortSignal.timeout(WAIT_MS))
  }
}

const ranks: readonly Health[] = ['ok', 'down', 'refused']
const worst = (...found: Health[]): Health => ranks[Math.max(...found.map((one) => ranks.indexOf(one)))] ?? 'down'

/** On a connection of its own. @throws Refused for the statuses that mean it */
async function asked(url: string, init: RequestInit, refusals: readonly number[] = [401, 403]): Promise<void> {
  const response = await fetch(url, {
    ...init,
    headers: { ...init.headers, connection: 'close' },
    signal: AbortSignal.timeout(WAIT_MS),
  })
  await response.arrayBuffer()
  if (refusals.includes(response.status)) throw new Refused(response.status)
  if (!response.ok) throw new Error(`status ${response.status}`)
}

/** The code of a refused log-in; null where it was something else. */
function refusalOf(error: unknown): string | null {
  if (error instanceof Refused || error instanceof AwsRefusal) return error.code
  const { code = '', message = '' } = error as { readonly code?: string; readonly message?: string }
  // PgBouncer has one code for everything that goes wrong before a session begins.
  if (/^28|^08P01$/.test(code)) return code
  return /^(WRONGPASS|NOAUTH|NOPERM)\b/.exec(message)?.[1] ?? null
}
