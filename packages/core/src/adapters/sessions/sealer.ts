import { fail, isKeyturnError, type KeyturnError } from '../../errors.ts'
import { type Edit, findValues, isDocument, splice } from '../../field/document.ts'
import type { Field } from '../../field/field.ts'
import type { PathStep } from '../../field/location.ts'
import { printReference } from '../../field/reference.ts'
import type { KeySource } from '../../with-fresh-keys.ts'
import { Refusals, type RefusedListener } from './refusals.ts'

/** What encrypts the sessions of a store. */
export interface SessionOptions {
  /** Names of the fields in Redis that stand in these sessions; all of the configuration unless given. */
  readonly fields?: readonly string[]
  /**
   * Seals everything but the cookie, as one value at the place of the one field: `redis:app:session:*:/sealed`. Unless given, the
   * strings at the places of the fields are sealed and the rest stays as it is.
   */
  readonly record?: boolean
  /** Told of each session that is refused, once. A warning of the process unless given. Never with an id or a value. */
  readonly onRefused?: RefusedListener
}

/** A session as a store takes it. */
export type SessionRecord = { readonly [member: string]: unknown }

/** Errors of a record that is not one of ours, or not any more: nobody is logged in by it. */
const refused = [
  'ERR_DECRYPT',
  'ERR_EMPTY_VALUE',
  'ERR_KEY_NOT_FOUND',
  'ERR_DEVELOPMENT_KEY',
  'ERR_NOT_TEXT',
  'ERR_DOCUMENT',
  // An id that is no text is nobody's.
  'ERR_BOUND_VALUE',
] as const

const none: readonly PathStep[] = []

/** Turns sessions into what is stored, and back. */
export class Sealer {
  readonly #fields: readonly Field[]
  readonly #record: boolean
  readonly #refusals: Refusals

  /** @throws `ERR_USAGE` for fields that cannot stand in a session of this store */
  constructor(keyturn: KeySource, { fields, record = false, onRefused }: SessionOptions) {
    const names =
      fields ?? Object.entries(keyturn.config.fields).flatMap(([name, { column }]) => (column.startsWith('redis:') ? [name] : []))
    this.#fields = names.map((name) => keyturn.field(name))
    this.#record = record
    this.#refusals = new Refusals(onRefused)
    if (this.#fields.length === 0)
      throw fail('ERR_USAGE', 'no field of the configuration stands in Redis: nothing of a session would be encrypted')
    for (const field of this.#fields) assertFits(field, record)
    if (record && this.#fields.length > 1)
      throw fail('ERR_USAGE', 'a whole record is sealed as one value: name one field, { fields: [NAME] }')
  }

  /** What is stored of a session. The cookie stays what it is: stores read from it how long the session lives. */
  async seal(sid: string, session: SessionRecord): Promise<SessionRecord> {
    const text = JSON.stringify(session)
    const sealed = this.#record ? await this.#sealRecord(sid, text) : await this.#sealValues(sid, text)
    return 'cookie' in session ? { ...sealed, cookie: session.cookie } : sealed
  }

  /**
   * The session that was stored; null for what is no record of ours or does not open, which is then told of once.
   *
   * @throws what is no matter of the record: a keyring that cannot be loaded
   */
  async open(sid: string, stored: unknown): Promise<SessionRecord | null> {
    try {
      if (typeof stored !== 'object' || stored === null || Array.isArray(stored)) throw fail('ERR_DOCUMENT', this.name)
      const record = stored as SessionRecord
      const opened = this.#record ? await this.#openRecord(sid, record) : await this.#openValues(sid, record)
      return 'cookie' in record ? { ...opened, cookie: record.cookie } : opened
    } catch (error) {
      if (!isKeyturnError(error, ...refused)) throw error
      this.refuse(sid, error)
      return null
    }
  }

  /** Tells of a record that cannot even be read. */
  refuse(sid: string, error: Pick<KeyturnError, 'code'> = fail('ERR_DOCUMENT', this.name)): void {
    this.#refusals.note(this.name, sid, error.code)
  }

  /** What a refusal names. */
  get name(): string {
    return (this.#fields[0] as Field).name
  }

  async #sealValues(sid: string, text: string): Promise<SessionRecord> {
    return await this.#spliced(text, (field, value) => {
      // As it is it would be stored in the clear.
      if (value === null)
        throw fail('ERR_USAGE', `field "${field.name}": what a session has at ${printReference(field.location)} is no text`)
      return field.encrypt(value as never, boundOf(field, sid))
    })
  }

  async #openValues(sid: string, record: SessionRecord): Promise<SessionRecord> {
    return await this.#spliced(textOf(record, this.name), (field, value) => {
      if (value === null) throw fail('ERR_DOCUMENT', field.name)
      return field.decrypt(value as never, boundOf(field, sid))
    })
  }

  async #spliced(text: string, change: (field: Field, value: string | null) => Promise<string | Uint8Array>): Promise<SessionRecord> {
    const edits: Edit[] = []
    for (const field of this.#fields) {
      const path = field.location.path ?? none
      if (!isDocument(text, path)) throw fail('ERR_DOCUMENT', field.name)
      for (const { start, end, value, path: at } of findValues(text, path, field.where)) {
        // It would be stored in the clear: stores read the cookie.
        if (at[0] === 'cookie') throw fail('ERR_USAGE', `field "${field.name}" takes in the cookie of a session, which stays as it is`)
        // What is kept as it is holds no secret; an empty token is one like any other.
        if (value !== null && value !== '' && field.isKept(value)) continue
        edits.push({ start, end, value: (await change(field, value)) as string })
      }
    }
    return JSON.parse(splice(text, edits)) as SessionRecord
  }

  async #sealRecord(sid: string, text: string): Promise<SessionRecord> {
    const field = this.#fields[0] as Field
    const { cookie: _, ...rest } = JSON.parse(text) as SessionRecord
    return { [memberOf(field)]: await field.encrypt(JSON.stringify(rest), boundOf(field, sid)) }
  }

  async #openRecord(sid: string, record: SessionRecord): Promise<SessionRecord> {
    const field = this.#fields[0] as Field
    const sealed = record[memberOf(field)]
    if (!Object.hasOwn(record, memberOf(field)) || typeof sealed !== 'string') throw fail('ERR_DOCUMENT', field.name)
    const text: string = await field.decrypt(sealed as never, boundOf(field, sid))
    const opened: unknown = isDocument(text) ? JSON.parse(text) : null
    if (typeof opened !== 'object' || opened === null || Array.isArray(opened)) throw fail('ERR_DOCUMENT', field.name)
    return opened as SessionRecord
  }
}

/** What a store has read and cannot be written again is nested too deep: none of ours. */
function textOf(record: SessionRecord, name: string): string {
  try {
    return JSON.stringify(record)
  } catch {
    throw fail('ERR_DOCUMENT', name)
  }
}

const memberOf = ({ location }: Field): string => (location.path as readonly [string])[0]

/** The key that a session has in Redis: the pattern with its id in place of the star at its end. */
function boundOf({ bind, location: { table } }: Field, sid: string) {
  return bind.length === 0 ? undefined : { key: table.slice(0, -1) + sid }
}

function assertFits({ name, location, only, bind }: Field, record: boolean): void {
  const wrong = (why: string) => fail('ERR_USAGE', `field "${name}" cannot stand in a session: ${why}`)
  if (location.store === undefined) throw wrong('its column is one of the database. Declare it as "redis:PREFIX*:/path"')
  if (location.path === undefined || location.path.length === 0)
    throw wrong('its place is the whole value of the key, and a store keeps sessions as JSON. Give it a path: "redis:PREFIX*:/sealed"')
  if (only !== null) throw wrong('it takes only what is encrypted already, so that nothing new would be')
  if (bind.length > 0 && !/^[^*?[\\]+\*$/.test(location.table))
    throw wrong('it is bound to its key, which is known where the pattern is PREFIX*')
  if (record && (location.path.length !== 1 || typeof location.path[0] !== 'string'))
    throw wrong('a whole record is sealed into one member: "redis:PREFIX*:/sealed"')
}
