import { setTimeout as sleep } from 'node:timers/promises'
import { fail } from '../../errors.ts'
import type { KeyringStatus, Keyturn } from '../../keyturn.ts'
import type { CensusGroup } from '../../rotation/census.ts'
import { type Answer, json, problem, unauthorized } from './answer.ts'
import { Turning } from './turning.ts'

/** Who makes a request: `user:ada`, `token:ci`, as it is to stand in the audit log. Null: nobody who may administer keys. */
export type Actor = string | null

export interface AdminOptions<Request> {
  /** An opened configuration, or how to open one: then the process does not serve without it, and closes it at the end. */
  readonly keyturn: Keyturn | (() => Promise<Keyturn>)
  /**
   * Who makes this request, by the application's own sessions or tokens. Asked before anything else of each request below the routes. Where it
   * goes by cookies it must also refuse requests that another site has the browser send.
   */
  readonly authorize: (request: Request) => Actor | Promise<Actor>
  /** The keyring of `/v1/admin/encryption`; needed where the configuration has several. */
  readonly keyring?: string
  /** The keyring of `/api/connectors/rotate-keys`; that of `keyring` unless given. */
  readonly connectors?: string
  /** How long a request waits for its rotation, in milliseconds, before it is answered 202; 30,000 unless given. */
  readonly waitMs?: number
  /** Told, once, that encryption is ready: one line without secrets. */
  readonly onReady?: (line: string) => void
}

const adminPath = '/v1/admin/encryption'
const patienceMs = 30_000

/** The only table of routes: frameworks bring requests to it. */
const routes: readonly {
  readonly path: string
  readonly method: string
  readonly answer: (admin: Admin, actor: string) => Promise<Answer>
}[] = [
  { path: adminPath, method: 'GET', answer: (admin) => admin.status() },
  { path: `${adminPath}/rotate`, method: 'POST', answer: (admin, actor) => admin.rotate(actor) },
  { path: '/api/connectors/rotate-keys', method: 'POST', answer: (admin, actor) => admin.rotateConnectors(actor) },
]
/** What a framework leaves to the table, with everything below it. */
export const ownPaths = [adminPath, '/api/connectors/rotate-keys']

/** The answers of the admin routes, for every framework. */
export class Admin {
  readonly keyturn: Keyturn
  readonly #owned: boolean
  readonly #keyring: string
  readonly #connectors: string
  readonly #waitMs: number
  readonly #turning: Turning
  #counting: Promise<object> | null = null

  private constructor(keyturn: Keyturn, owned: boolean, options: Omit<AdminOptions<never>, 'authorize'>) {
    this.keyturn = keyturn
    this.#owned = owned
    this.#keyring = options.keyring ?? onlyKeyring(keyturn)
    this.#connectors = options.connectors ?? this.#keyring
    this.#waitMs = options.waitMs ?? patienceMs
    this.#turning = new Turning(keyturn)
  }

  /**
   * Opens the configuration and looks at its keyrings: what rejects here must keep the process from serving.
   *
   * @throws `ERR_USAGE` without `authorize`, and everything that `open` throws
   */
  static async open<Request>(options: AdminOptions<Request>): Promise<Admin> {
    if (typeof options.authorize !== 'function')
      throw fail('ERR_USAGE', 'the admin routes need { authorize }: without it everybody could rotate keys')
    const owned = typeof options.keyturn === 'function'
    const keyturn = typeof options.keyturn === 'function' ? await options.keyturn() : options.keyturn
    try {
      const admin = new Admin(keyturn, owned, options)
      for (const name of new Set([admin.#keyring, admin.#connectors])) {
        const { versions } = await admin.#statusOf(name)
        options.onReady?.(`encryption is ready: keyring "${name}", version ${active(versions)?.number ?? 'none'} active`)
      }
      return admin
    } catch (error) {
      if (owned) await keyturn.close()
      throw error
    }
  }

  /** Answers a request below `ownPaths`. Nothing is looked at before it is known who asks. Never rejects. */
  async answer(method: string, path: string, authorize: () => Actor | Promise<Actor>): Promise<Answer> {
    try {
      const actor = await authorize()
      if (typeof actor !== 'string' || actor === '') return unauthorized()
      const there = routes.filter((route) => route.path === path)
      const route = there.find((route) => route.method === method)
      if (route !== undefined) return await route.answer(this, actor)
      const missing = fail('ERR_NOT_FOUND', there.length === 0 ? 'this path' : `${method} on this path`)
      return there.length === 0 ? problem(missing) : problem(missing, { allow: there.map((route) => route.method).join(', ') }, 405)
    } catch (error) {
      return problem(error)
    }
  }

  async status(): Promise<Answer> {
    // The values are counted, which reads their tables: once for all who ask meanwhile.
    this.#counting ??= this.#count().finally(() => {
      this.#counting = null
    })
    return json(200, await this.#counting)
  }

  async #count(): Promise<object> {
    const { kind, versions, fields } = await this.#statusOf(this.#keyring)
    const ids = new Set(versions.map(({ id }) => id))
    const census = fields.length === 0 ? [] : (await this.keyturn.census({ keyring: this.#keyring, throttle: { share: 1 } })).fields
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)
    // Keys from the environment have no states that would end by themselves: what is not under the current one keeps the others there.
    const isOlder = ({ keyId, current }: CensusGroup) => (kind === 'environment' ? !current : keyId === null || !ids.has(keyId))
    const older = census.flatMap(({ groups }) => groups.filter(isOlder))
    return {
      activeVersion: active(versions)?.number ?? null,
      keys: versions.map(({ number, state, activatedBy, createdAt, retiredAt }) => ({
        version: number,
        state,
        active: state === 'active',
        rotatedBy: activatedBy,
        createdAt,
        retiredAt,
      })),
      secrets: sum(census.map(({ total, kept }) => total - kept)),
      legacy: sum(older.map(({ values }) => values)),
    }
  }

  /** A new key, every value under it, and the old one refused by the database: all in one request where it takes no longer than that. */
  async rotate(actor: string): Promise<Answer> {
    const keyring = this.#keyring
    return await this.#patiently(
      this.#turning.begin(keyring, actor, async (options) => {
        const mode = this.#namesKeys(keyring) ? 'transaction' : 'online'
        const { rotated: reEncrypted } = await this.#turning.rotate(keyring, { ...options, mode })
        const newVersion = active((await this.#statusOf(keyring)).versions)?.number ?? null
        const data = { newVersion, reEncrypted }
        await this.keyturn.audit.record({ actor, action: 'admin.encryption.rotate', subject: `keyring/${keyring}`, data })
        const notRetired = await this.#turning.retire(keyring, options)
        return { ...data, ...(notRetired !== null && { notRetired }) }
      }),
    )
  }

  /** Every value of the keyring under the current key; counted in rows, each of which holds a document. */
  async rotateConnectors(actor: string): Promise<Answer> {
    const keyring = this.#connectors
    return await this.#patiently(
      this.#turning.begin(keyring, actor, async (options) => {
        const result = await this.#turning.rotate(keyring, { ...options, mode: 'online', accept: true })
        const { rows: total } = await this.keyturn.census({ keyring, throttle: { share: 1 } })
        const failed = new Map(
          result.failed.map(({ field, row, reason }) => {
            const { schema, table } = this.keyturn.field(field).location
            const named = schema === null ? table : `${schema}.${table}`
            return [JSON.stringify([named, row]), { table: named, row, reason }]
          }),
        )
        const skipped = Math.max(0, total - result.rows - failed.size)
        return { total, rotated: result.rows, skipped, failed: [...failed.values()] }
      }),
    )
  }

  async close(): Promise<void> {
    await this.#turning.stop()
    if (this.#owned) await this.keyturn.close()
  }

  /** Waits for a rotation as long as a request may take. One that takes longer goes on, and its failure is on record. */
  async #patiently(work: Promise<object>): Promise<Answer> {
    const waiting = new AbortController()
    try {
      const late = sleep(this.#waitMs, null, { signal: waiting.signal }).catch(() => null)
      const done = await Promise.race([work, late])
      return done === null ? json(202, { status: 'running' }, { location: adminPath }) : json(200, done)
    } finally {
      waiting.abort()
      work.catch(() => {})
    }
  }

  /** Whether every value stands in the database and says which key it is under: then a transaction needs nobody to restart. */
  #namesKeys(keyring: string): boolean {
    const fields = Object.keys(this.keyturn.config.fields).map((name) => this.keyturn.field(name))
    const under = fields.filter((field) => field.keyring.name === keyring)
    return under.every(({ writes, keyId, location }) => location.store === undefined && (writes.namesKey || keyId !== null))
  }

  async #statusOf(name: string): Promise<KeyringStatus> {
    const [status] = (await this.keyturn.status(name)).keyrings
    if (status === undefined) throw fail('ERR_UNKNOWN_NAME', 'keyring', name, '')
    return status
  }
}

const active = (versions: KeyringStatus['versions']) => versions.find(({ state }) => state === 'active')

function onlyKeyring({ config }: Keyturn): string {
  const names = Object.keys(config.keyrings)
  if (names.length === 1 && names[0] !== undefined) return names[0]
  throw fail('ERR_USAGE', `the admin routes need { keyring }: the configuration has ${names.length}`)
}
