import { createHash } from 'node:crypto'
import { fail } from '../errors.ts'
import type { Stored } from '../field/codec.ts'
import { type KeyMaterial, KeyVersion } from '../keyring/key-version.ts'
import { Keyring } from '../keyring/keyring.ts'
import type { LiveKeyring } from '../keyring/live-keyring.ts'
import { UnknownIds } from '../keyring/unknown-ids.ts'
import type { Sql } from '../state/sql.ts'

/** Where an application keeps keys of its own, and what opens them. */
export interface TableKeyringOptions {
  readonly sql: Sql
  readonly name: string
  /** The table as SQL may name it: in quotes, with its schema if it has one. */
  readonly table: string
  readonly columns: TableColumns
  /** Opens one wrapped key; null where it does not open. */
  readonly unwrap: (wrapped: Stored) => Promise<KeyMaterial | null>
  /** What messages call the keys that open them. */
  readonly roots: string
  /** Told of keys that do not open, a sentence without secrets. */
  readonly warn: (sentence: string) => void
}

/** Names of columns. */
export interface TableColumns {
  /** What stands beside the values: text, a number or a UUID. */
  readonly id: string
  /** The wrapped key; NULL where it was erased. */
  readonly wrapped: string
  readonly createdAt?: string
}

/** What an id may be: it stands in messages and lists, and a column can hold anything. */
const idPattern = /^[A-Za-z0-9._:-]{1,64}$/

/** A key as it was found: the digest of its wrapping, and what it opened to. */
interface Known {
  readonly digest: string
  readonly material: KeyMaterial | null
}
interface FoundRow {
  readonly id: string
  readonly wrapped: Stored | null
  readonly createdAt: Date
}

/**
 * A keyring of the keys that an application keeps in a table of its own. It only decrypts: values under these keys are read, and
 * rotated to another keyring. Nothing in the table is ever written.
 *
 * Its versions have the ids of the rows. An id that is not known has the table read again, because an instance of the application that
 * knows nothing of Keyturn may make keys while this one runs. A key that does not open is told to `warn`; its values do not open.
 *
 * @throws `ERR_ROOT_KEY` when there are keys and none of them opens
 * @throws `ERR_CONFIG` when there is no such table or column, or an id is missing, stands twice, or is no id
 */
export default async function tableKeyring(options: TableKeyringOptions): Promise<LiveKeyring> {
  const reader = new TableReader(options)
  await reader.load()
  const unknown = new UnknownIds()
  let loading: Promise<Keyring> | null = null
  const load = () => {
    loading ??= reader.load().finally(() => {
      loading = null
    })
    return loading
  }
  const refuse = () => fail('ERR_USAGE', `keyring "${options.name}" only decrypts: its keys stand in a table of the application`)
  return {
    name: options.name,
    foreignIds: true,
    get snapshot() {
      return reader.snapshot
    },
    spend: () => {
      throw refuse()
    },
    reserve: () => Promise.reject(refuse()),
    reload: async (unknownId) => {
      if (unknownId === undefined) return await load()
      const skip = !idPattern.test(unknownId) || reader.snapshot.get(unknownId) !== undefined || unknown.has(unknownId, performance.now())
      if (skip) return reader.snapshot
      // A load that was sent before the id was met may have missed it: only one that is sent now says that there is none.
      await loading
      const keyring = await load()
      if (keyring.get(unknownId) === undefined) unknown.add(unknownId, performance.now())
      return keyring
    },
    close: () => {},
  }
}

class TableReader {
  readonly #options: TableKeyringOptions
  #known = new Map<string, Known>()
  #warned = ''
  #snapshot: Keyring

  constructor(options: TableKeyringOptions) {
    this.#options = options
    this.#snapshot = new Keyring(options.name, 1, [], { decryptOnly: true })
  }

  get snapshot(): Keyring {
    return this.#snapshot
  }

  async load(): Promise<Keyring> {
    const { name } = this.#options
    const [known, versions] = [new Map<string, Known>(), [] as KeyVersion[]]
    for (const [index, { id, wrapped, createdAt }] of (await this.#rows()).entries()) {
      if (known.has(id)) throw this.#wrong('id', 'two rows have the same id, so that it names no key')
      const found = await this.#open(id, wrapped)
      known.set(id, found)
      const state = wrapped === null ? ('destroyed' as const) : ('retiring' as const)
      const dates = { createdAt, activatedAt: null, retiredAt: null, destroyedAt: null }
      versions.push(new KeyVersion({ id, number: index + 1, state, compromised: false, ...dates }, found.material))
    }
    this.#judge(versions)
    this.#known = known
    // Another revision than 0: these ids are stored beside the values, and are not derived from the keys.
    this.#snapshot = new Keyring(name, 1, versions, { decryptOnly: true })
    return this.#snapshot
  }

  async #rows(): Promise<FoundRow[]> {
    const { sql, table, columns } = this.#options
    const [id, wrapped] = [quote(columns.id), quote(columns.wrapped)]
    const createdAt = columns.createdAt === undefined ? null : quote(columns.createdAt)
    const order = createdAt === null ? `${id}` : `${createdAt}, ${id}`
    const text = `SELECT ${id}::text AS id, ${wrapped} AS wrapped, ${createdAt === null ? 'NULL' : `extract(epoch FROM ${createdAt})::float8`} AS created FROM ${table} ORDER BY ${order}`
    const { rows } = await sql.query(text).catch((error: unknown) => {
      const detail = typeof error === 'object' && error !== null && 'detail' in error ? error.detail : ''
      // undefined_table, undefined_column, invalid_schema_name
      if (detail === '42P01' || detail === '3F000') throw this.#wrong(null, 'there is no such table in the database')
      if (detail === '42703') throw this.#wrong(null, 'the table has not the columns that are named')
      throw error
    })
    return rows.map((row) => {
      if (typeof row.id !== 'string' || !idPattern.test(row.id))
        throw this.#wrong('id', 'expected ids of 1 to 64 of the characters A-Z a-z 0-9 . _ : - in every row')
      if (row.wrapped !== null && typeof row.wrapped !== 'string' && !(row.wrapped instanceof Uint8Array))
        throw this.#wrong('wrapped', 'expected a column of text or bytes')
      return { id: row.id, wrapped: row.wrapped, createdAt: new Date(Number(row.created ?? 0) * 1000) }
    })
  }

  /** Opened once for as long as its wrapping stays the same, so that what is derived from it stays cached. */
  async #open(id: string, wrapped: Stored | null): Promise<Known> {
    const digest = createHash('sha256')
      .update(wrapped ?? '')
      .digest('hex')
    const before = this.#known.get(id)
    if (before?.digest === digest && before.material !== null) return before
    return { digest, material: wrapped === null ? null : await this.#options.unwrap(wrapped) }
  }

  #judge(versions: readonly KeyVersion[]): void {
    const { name, roots, warn } = this.#options
    const wrapped = versions.filter(({ state }) => state !== 'destroyed')
    const shut = wrapped.filter(({ material }) => material === null).map(({ id }) => id)
    if (shut.length > 0 && shut.length === wrapped.length) throw fail('ERR_ROOT_KEY', roots, name, 'another one, or in another format')
    const list = shut.join(', ')
    if (shut.length > 0 && list !== this.#warned)
      warn(`keyring "${name}": keys that do not open under ${roots}: ${list}. Values that name them do not open either.`)
    this.#warned = list
  }

  #wrong(column: keyof TableColumns | null, sentence: string) {
    const { name } = this.#options
    return fail('ERR_CONFIG', column === null ? `keyrings.${name}.table` : `keyrings.${name}.columns.${column}`, sentence)
  }
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
