import { randomUUID } from 'node:crypto'
import { type JsonSchema, secretFields } from '@keyturn/core'
import type { Encryption } from './encryption.ts'
import { NotFound } from './refusals.ts'
import type { Db, Values } from './tables.ts'

const TIMEOUT_MS = 10_000

/** A connector as people see it. */
export interface Connector {
  readonly id: string
  readonly name: string
  readonly configSchema: JsonSchema
  /** With `********` in place of what is secret. */
  readonly config: Values
}

/** Other systems and how to get in there. Which members of a configuration are secret, the `configSchema` says that came with it. */
export class Connectors {
  readonly #db: Db
  readonly #keyturn: Encryption

  constructor(db: Db, keyturn: Encryption) {
    this.#db = db
    this.#keyturn = keyturn
  }

  get #field() {
    return this.#keyturn.field('connector.config')
  }

  async list(): Promise<Connector[]> {
    const rows = await this.#db.selectFrom('connector_definition').selectAll().orderBy('name').orderBy('id').execute()
    return rows.map(({ id, name, config_schema, connector_config }) => ({
      id,
      name,
      configSchema: config_schema,
      config: secretFields(config_schema).mask(connector_config),
    }))
  }

  async create(name: string, configSchema: JsonSchema, config: Values): Promise<string> {
    const id = randomUUID()
    const sealed = await secretFields(configSchema).encrypt(config, this.#field, { id })
    await this.#db
      .insertInto('connector_definition')
      .values({ id, name, config_schema: JSON.stringify(configSchema), connector_config: JSON.stringify(sealed) })
      .execute()
    return id
  }

  /** Saves what came back from a form: a mask keeps what is stored. The schema stays. */
  async update(id: string, name: string, config: Values): Promise<void> {
    await this.#db.transaction().execute(async (db) => {
      const row = db.selectFrom('connector_definition').selectAll().where('id', '=', id)
      const stored = await row.forUpdate().executeTakeFirstOrThrow(NotFound.of('connector'))
      const sealed = await secretFields(stored.config_schema).merge(config, stored.connector_config, this.#field, { id })
      await db
        .updateTable('connector_definition')
        .set({ name, connector_config: JSON.stringify(sealed) })
        .where('id', '=', id)
        .execute()
    })
  }

  /** Sends a body to the other system, with its credentials. @returns what it answered */
  async call(id: string, body: string, db = this.#db): Promise<{ readonly status: number; readonly body: string }> {
    const row = db.selectFrom('connector_definition').selectAll().where('id', '=', id)
    const { config_schema, connector_config } = await row.executeTakeFirstOrThrow(NotFound.of('connector'))
    const config = await secretFields(config_schema).decrypt(connector_config, this.#field, { id })
    const { url, apiKey, headers = [] } = config as { url: string; apiKey?: string; headers?: { name: string; value: string }[] }
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        ...(apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` }),
        ...Object.fromEntries(headers.map(({ name, value }) => [name, value])),
      },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    return { status: response.status, body: await response.text() }
  }
}
