import type { Database } from './database.ts'

/** What a row holds beside its id and its token. */
export type Settings = { readonly [name: string]: string }
export type KindName = 'jira' | 'github' | 'slack' | 'webhooks'
type Transaction = Pick<Database, '$executeRaw' | 'jiraConfig' | 'githubConfig' | 'slackConfig' | 'webhook'>

export interface Config {
  readonly settings: Settings
  readonly token: string
}

/** A table of configurations: each has a token of somebody else's, or a secret that is shared with them. */
interface Kind {
  /** Names of its settings, all of them needed. */
  readonly settings: readonly string[]
  /** Nobody else changes the row until the transaction ends. */
  lock(tx: Transaction, id: string): Promise<unknown>
  list(db: Database): Promise<readonly object[]>
  /** Opens nothing. */
  settingsOf(db: Transaction, id: string): Promise<Settings | null>
  find(db: Transaction, id: string): Promise<Config | null>
  save(tx: Transaction, id: string, settings: Settings, token: string): Promise<unknown>
}

const opened = (row: ({ readonly token: string } & Settings) | null): Config | null => {
  if (row === null) return null
  const { token, ...settings } = row
  return { token, settings }
}
const omit = { token: true } as const
const orderBy = { id: 'asc' } as const

const kinds: Record<KindName, Kind> = {
  jira: {
    settings: ['name', 'baseUrl', 'email'],
    lock: (tx, id) => tx.$executeRaw`SELECT FROM jira_configs WHERE id = ${id} FOR UPDATE`,
    list: (db) => db.jiraConfig.findMany({ omit, orderBy }),
    settingsOf: (db, id) => db.jiraConfig.findUnique({ where: { id }, omit }),
    find: async (db, id) => opened(await db.jiraConfig.findUnique({ where: { id } })),
    save: (tx, id, { name = '', baseUrl = '', email = '' }, token) => {
      const row = { name, baseUrl, email, token }
      return tx.jiraConfig.upsert({ where: { id }, create: { id, ...row }, update: row })
    },
  },
  github: {
    settings: ['name', 'baseUrl'],
    lock: (tx, id) => tx.$executeRaw`SELECT FROM github_configs WHERE id = ${id} FOR UPDATE`,
    list: (db) => db.githubConfig.findMany({ omit, orderBy }),
    settingsOf: (db, id) => db.githubConfig.findUnique({ where: { id }, omit }),
    find: async (db, id) => opened(await db.githubConfig.findUnique({ where: { id } })),
    save: (tx, id, { name = '', baseUrl = '' }, token) => {
      const row = { name, baseUrl, token }
      return tx.githubConfig.upsert({ where: { id }, create: { id, ...row }, update: row })
    },
  },
  slack: {
    settings: ['teamId', 'tokenType', 'channel'],
    lock: (tx, id) => tx.$executeRaw`SELECT FROM slack_configs WHERE id = ${id} FOR UPDATE`,
    list: (db) => db.slackConfig.findMany({ omit, orderBy }),
    settingsOf: (db, id) => db.slackConfig.findUnique({ where: { id }, omit }),
    find: async (db, id) => opened(await db.slackConfig.findUnique({ where: { id } })),
    save: (tx, id, { teamId = '', tokenType = '', channel = '' }, token) => {
      const row = { teamId, tokenType, channel, token }
      return tx.slackConfig.upsert({ where: { id }, create: { id, ...row }, update: row })
    },
  },
  webhooks: {
    settings: ['url'],
    lock: (tx, id) => tx.$executeRaw`SELECT FROM webhooks WHERE id = ${id} FOR UPDATE`,
    list: (db) => db.webhook.findMany({ omit, orderBy }),
    settingsOf: (db, id) => db.webhook.findUnique({ where: { id }, omit }),
    find: async (db, id) => opened(await db.webhook.findUnique({ where: { id } })),
    save: (tx, id, { url = '' }, token) => {
      const row = { url, token }
      return tx.webhook.upsert({ where: { id }, create: { id, ...row }, update: row })
    },
  },
}

export const isKind = (name: string): name is KindName => Object.hasOwn(kinds, name)

/** Configurations of all kinds. */
export class Configs {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  /** Without tokens: none is opened for it. */
  async list(kind: KindName): Promise<readonly object[]> {
    return await kinds[kind].list(this.#db)
  }

  /** @throws an error of Keyturn for a token that does not open */
  async find(kind: KindName, id: string): Promise<Config | null> {
    return await kinds[kind].find(this.#db, id)
  }

  /**
   * Creates a configuration or changes it. Without a token it keeps the one it has, encrypted again: whatever key that was under, from
   * then on it is under the one that encrypts now. Two who save at the same time come one after the other, so that none writes back a
   * token that the other has just replaced.
   *
   * @returns what is missing, where something is: nothing was saved then
   */
  async save(kind: KindName, id: string, given: Settings): Promise<string[]> {
    const names = kinds[kind].settings
    return await this.#db.$transaction(
      async (tx) => {
        await kinds[kind].lock(tx, id)
        // A new token takes the place of one that does not open any more: that one is not asked for.
        const before = await kinds[kind].settingsOf(tx, id)
        const settings = Object.fromEntries(names.map((name) => [name, given[name] ?? before?.[name] ?? '']))
        const token = given.token ?? (await kinds[kind].find(tx, id))?.token ?? ''
        const missing = Object.entries({ ...settings, token }).flatMap(([name, value]) => (value === '' ? [name] : []))
        if (missing.length === 0) await kinds[kind].save(tx, id, settings, token)
        return missing
      },
      { maxWait: 10_000, timeout: 20_000 },
    )
  }
}
