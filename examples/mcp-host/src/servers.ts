import { withFreshKeys } from '@keyturn/core'
import { and, asc, eq } from 'drizzle-orm'
import type { Encryption } from './encryption.ts'
import { NotFound, Refused } from './refusals.ts'
import { type Db, secrets, servers } from './tables.ts'
import { callServer } from './tool-call.ts'

/** A server as people see it: its secrets by name, without their values. */
export interface ServerView {
  readonly id: string
  readonly name: string
  readonly url: string
  readonly secrets: readonly { readonly name: string; readonly updatedAt: Date; readonly updatedBy: string }[]
}

/** What makes a server: the headers are secret. */
export interface NewServer {
  readonly name: string
  readonly url: string
  readonly headers: { readonly [name: string]: string }
}

/** MCP servers and the secrets that they want. A secret is decrypted where it is used, and shown nowhere. */
export class Servers {
  readonly #db: Db
  readonly #encryption: Encryption

  constructor(db: Db, encryption: Encryption) {
    this.#db = db
    this.#encryption = encryption
  }

  async list(): Promise<ServerView[]> {
    const found = await this.#db.select().from(servers).orderBy(asc(servers.name))
    const { serverId, name, updatedAt, updatedBy } = secrets
    const all = await this.#db.select({ serverId, name, updatedAt, updatedBy }).from(secrets).orderBy(asc(name))
    return found.map(({ id, name, url }) => ({
      id,
      name,
      url,
      secrets: all.filter((secret) => secret.serverId === id).map(({ serverId: _, ...secret }) => secret),
    }))
  }

  async create({ name, url, headers }: NewServer, updatedBy: string): Promise<string> {
    // Encrypted inside: where the database refuses a key that was retired meanwhile, all of it runs again under the new one.
    return await withFreshKeys(this.#encryption.keyturn, () =>
      this.#db.transaction(async (db) => {
        const [made] = await db.insert(servers).values({ name, url }).onConflictDoNothing().returning({ id: servers.id })
        if (made === undefined) throw new Refused('there is a server of this name')
        for (const [header, text] of Object.entries(headers)) {
          const sealed = await this.#encryption.encryptSecret(text)
          await db.insert(secrets).values({ serverId: made.id, name: header, ...sealed, updatedBy })
        }
        return made.id
      }),
    )
  }

  /** Asks the server whether it accepts what is stored for it. @returns the status of its answer */
  async check(id: string): Promise<number> {
    return await callServer(await this.#urlOf(id), await this.#headersOf(id), 'ping')
  }

  /**
   * Replaces one secret by what the server has issued. The server is asked first: what it does not accept is not stored, so that the old
   * value, which may work still, is not lost.
   */
  async replaceSecret(id: string, name: string, text: string, updatedBy: string): Promise<void> {
    const { keyturn, encryptSecret } = this.#encryption
    const headers = await this.#headersOf(id)
    if (headers[name] === undefined) throw new NotFound('there is no such secret')
    const status = await callServer(await this.#urlOf(id), { ...headers, [name]: text }, 'ping').catch(() => null)
    if (status === null || status >= 400)
      throw new Refused(
        `the server ${status === null ? 'cannot be reached' : `answers ${status}`} with the new value, so the old one stays`,
      )
    await withFreshKeys(keyturn, async () =>
      this.#db
        .update(secrets)
        .set({ ...(await encryptSecret(text)), updatedAt: new Date(), updatedBy })
        .where(and(eq(secrets.serverId, id), eq(secrets.name, name))),
    )
    await keyturn.audit.record({ actor: updatedBy, action: 'server.secret.rotate', subject: `server/${id}`, data: { secret: name } })
  }

  async #urlOf(id: string): Promise<string> {
    const [found] = await this.#db.select({ url: servers.url }).from(servers).where(eq(servers.id, id))
    if (found === undefined) throw new NotFound('there is no such server')
    return found.url
  }

  async #headersOf(id: string): Promise<Record<string, string>> {
    const found = await this.#db.select().from(secrets).where(eq(secrets.serverId, id))
    const opened = found.map(async ({ name, value, keyId }) => [name, await this.#encryption.decryptSecret(value, keyId)] as const)
    return Object.fromEntries(await Promise.all(opened))
  }
}
