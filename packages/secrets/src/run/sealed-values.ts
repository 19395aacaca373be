import { randomUUID } from 'node:crypto'
import { type Field, type FieldConfig, fail, type Keyturn, type Sql, type SqlState } from '@keyturn/core'
import type { Credential } from '../secret/credential.ts'

/** The field under which credentials are sealed. It is rotated, counted and fenced as every other field is. */
export const sealedField = 'keyturn.sealed'

/**
 * The field that a configuration with secrets needs, under `fields`: credentials are sealed with this keyring while they are in use.
 *
 * @param keyring - a stored keyring of the configuration
 * @param schema - the schema of Keyturn's own tables, where the configuration names one
 * @example
 * import { sealedSecrets } from '@keyturn/secrets'
 *
 * const fields = { ...sealedSecrets('app') }
 */
export function sealedSecrets(keyring: string, schema = 'keyturn'): { readonly [sealedField]: FieldConfig } {
  return { [sealedField]: { column: `${schema}.sealed.value`, keyring, bind: ['id'] } }
}

/** A credential that was sealed and is not kept yet. */
export interface Sealed {
  readonly id: string
  readonly text: string
}

/** Credentials as they stand in the state: sealed, each bound to its id. */
export class SealedValues {
  readonly #state: SqlState
  readonly #field: Field

  /** @throws `ERR_CONFIG` where the configuration has no field for them */
  constructor(keyturn: Keyturn, state: SqlState) {
    if (!Object.hasOwn(keyturn.config.fields, sealedField))
      throw fail('ERR_CONFIG', 'fields', `secrets are sealed in a field: add ...sealedSecrets('KEYRING') of @keyturn/secrets`)
    this.#state = state
    this.#field = keyturn.field(sealedField)
  }

  async seal(credential: Credential): Promise<Sealed> {
    const id = randomUUID()
    return { id, text: String(await this.#field.encrypt(JSON.stringify(credential), { id })) }
  }

  /** Within the caller's transaction: it is kept exactly when what names it is. */
  async keep(sql: Sql, { id, text }: Sealed): Promise<void> {
    await sql.query(`INSERT INTO ${this.#state.schema}.sealed (id, value) VALUES ($1::text, $2::text)`, [id, text])
  }

  /** @throws `ERR_DECRYPT` where it was changed */
  async open(id: string): Promise<Credential> {
    const { rows } = await this.#state.query(`SELECT value FROM ${this.#state.schema}.sealed WHERE id = $1::text`, [id])
    return JSON.parse(await this.#field.decrypt(String(rows[0]?.value ?? ''), { id }))
  }

  async erase(sql: Sql, id: string | null): Promise<void> {
    if (id !== null) await sql.query(`DELETE FROM ${this.#state.schema}.sealed WHERE id = $1::text`, [id])
  }
}
