/**
 * The JSON schema of a configuration: the one source. `config.schema.json` is written from it, `validate` walks it, and a test
 * compares both. Draft 2020-12, of which only the keywords of `Schema` are used.
 */
import { algorithms, isSymmetric } from '../signing/algorithm.ts'
import { DURATION } from './duration.ts'
import { NO_HEX, VARIABLE } from './variable.ts'

/** The part of JSON schema that the configuration needs. */
export interface Schema {
  readonly description?: string
  readonly $ref?: string
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | 'null'
  readonly properties?: { readonly [name: string]: Schema }
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly propertyNames?: { readonly pattern: string; readonly description: string }
  readonly items?: Schema
  readonly minItems?: number
  readonly uniqueItems?: boolean
  readonly anyOf?: readonly Schema[]
  readonly enum?: readonly string[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
}
export interface RootSchema extends Schema {
  readonly $schema: string
  readonly title: string
  readonly $defs: { readonly [name: string]: Schema }
}

const ref = (name: string): Schema => ({ $ref: `#/$defs/${name}` })
const list = (items: Schema, more: Schema = {}): Schema => ({ type: 'array', items, minItems: 1, ...more })
const permanentName = { pattern: '^[A-Za-z0-9._-]{1,128}$', description: 'a name of 1 to 128 of the characters A-Z a-z 0-9 . _ -' }

/** What a codec or a key wrapper may be called: a driver of ours, or a module of the user's. */
const DRIVER = '^[^\\s]+$'

/** Lookahead: no 32 bytes in base64 or base64url. */
const NO_BASE64 = '(?!(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+_-][A-Za-z0-9+/_-]{42}=?$)'
/** The path of a file: neither a key, nor the address of a database, nor the text of a file that was put in place of its path. */
const PATH = `^${NO_HEX}${NO_BASE64}(?!.*://)[^\\u0000\\r\\n]+$`

const secret: Schema = {
  description: '{ "env": "NAME" } or { "file": "/path" }',
  anyOf: [
    {
      type: 'object',
      properties: {
        // It must not be printed as if it were a name.
        env: {
          type: 'string',
          pattern: VARIABLE,
          description: 'the name of an environment variable',
        },
      },
      required: ['env'],
      additionalProperties: false,
    },
    {
      type: 'object',
      properties: {
        file: { type: 'string', pattern: PATH, description: 'the path of a file' },
      },
      required: ['file'],
      additionalProperties: false,
    },
  ],
}

const root: Schema = {
  description: '{ "env": "NAME" }, { "file": "/path" } or { "wrapper": "NAME", … }',
  anyOf: [
    ...(secret.anyOf ?? []),
    {
      type: 'object',
      properties: { wrapper: { type: 'string', pattern: DRIVER, description: 'the name of a key wrapper' } },
      required: ['wrapper'],
      additionalProperties: true,
    },
  ],
}

const duration: Schema = {
  type: 'string',
  pattern: DURATION,
  description: 'a period such as "90d", "6w", "12h", "30m" or "20s" (days, weeks, hours, minutes, seconds)',
}

const storedKeyring: Schema = {
  description: 'A keyring that Keyturn keeps, wrapped under a root key.',
  type: 'object',
  properties: {
    root: { description: 'a root key, or a list of them: the first wraps, all unwrap', anyOf: [ref('root'), list(ref('root'))] },
    file: { type: 'string', pattern: PATH, description: 'the path of a file' },
    period: duration,
    automatic: { type: 'boolean' },
    messages: { type: 'integer', minimum: 1, maximum: 2 ** 31 - 1 },
    horizon: duration,
    alsoUsedFor: ref('alsoUsedFor'),
    sign: { description: 'The algorithm that its keys sign tokens with.', enum: algorithms },
    first: ref('firstKey'),
    tokens: ref('tokens'),
  },
  required: ['root'],
  additionalProperties: false,
}

const environmentKeyring: Schema = {
  description: 'A keyring whose keys come from the environment: one encrypts, others only decrypt.',
  type: 'object',
  properties: {
    primary: ref('secret'),
    previous: { type: 'array', items: ref('secret') },
    fallback: ref('secret'),
    keyRule: ref('keyRule'),
    development: list(ref('secret')),
    alsoUsedFor: ref('alsoUsedFor'),
    sign: { description: 'The algorithm that its keys sign tokens with.', enum: algorithms.filter(isSymmetric) },
    tokens: ref('tokens'),
  },
  required: ['primary'],
  additionalProperties: false,
}

const tableColumns: Schema = {
  type: 'object',
  properties: { id: ref('columnName'), wrapped: ref('columnName'), createdAt: ref('columnName') },
  required: ['id', 'wrapped'],
  additionalProperties: false,
}

const tableKeyring: Schema = {
  description: 'Keys that an application keeps in a table of its own, wrapped. They only decrypt.',
  type: 'object',
  properties: {
    table: { type: 'string', pattern: '^.+$', description: '"table" or "schema.table"' },
    columns: ref('tableColumns'),
    wrapped: { description: 'the name of a codec, or { "codec": "NAME", … }', anyOf: [ref('codec'), ref('writes')] },
    key: ref('secret'),
    previous: { type: 'array', items: ref('secret') },
    keyRule: ref('keyRule'),
    unwrapped: { enum: ['bytes', 'hex', 'base64', 'base64url'] },
    alsoUsedFor: ref('alsoUsedFor'),
  },
  required: ['table', 'columns', 'wrapped', 'key'],
  additionalProperties: false,
}

const columnName: Schema = { type: 'string', pattern: '^.+$', description: 'the name of a column' }
const codec: Schema = { type: 'string', pattern: DRIVER, description: 'the name of a codec, such as "kt1" or "hex-colon"' }

const field: Schema = {
  description: 'One place that holds encrypted values.',
  type: 'object',
  properties: {
    column: { type: 'string', pattern: '^.+$', description: '"table.column", "schema.table.column" or "table.column:/json/pointer"' },
    keyring: { type: 'string', ...permanentName },
    bind: { type: 'array', items: columnName, uniqueItems: true },
    insertedFirst: { type: 'boolean' },
    writes: { description: 'the name of a codec, or { "codec": "NAME", … }', anyOf: [codec, ref('writes')] },
    reads: { type: 'array', items: { description: 'the name of a codec, or { "codec": "NAME", … }', anyOf: [codec, ref('reads')] } },
    empty: { enum: ['refuse', 'keep'] },
    where: {
      type: 'object',
      additionalProperties: {
        description: 'text, a number, true, false or null',
        anyOf: [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }, { type: 'null' }],
      },
    },
    only: { enum: ['encrypted'] },
    keyId: columnName,
    keep: { type: 'string', pattern: '^[^]+$', description: 'a regular expression' },
    sensitive: { type: 'array', items: columnName, uniqueItems: true },
    was: { type: 'array', items: { type: 'string', ...permanentName }, uniqueItems: true },
  },
  required: ['column', 'keyring'],
  additionalProperties: false,
}

export const schema: RootSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Configuration of Keyturn',
  description: 'What an application and the command share: keyturn.config.json, and what keyturn.config.ts exports.',
  type: 'object',
  properties: {
    $schema: { type: 'string', description: 'the address of this schema' },
    database: ref('secret'),
    redis: ref('secret'),
    schema: { type: 'string', pattern: `^${NO_HEX}(?!.*://)[^\\u0000]{1,63}$`, description: 'the name of a database schema' },
    refreshMs: { type: 'integer', minimum: 50, maximum: 3_600_000 },
    signing: ref('signing'),
    keyrings: {
      type: 'object',
      propertyNames: permanentName,
      additionalProperties: {
        description:
          '{ "root": … } for a stored keyring, { "primary": … } for keys from the environment, or { "table": … } for keys in a table',
        anyOf: [ref('storedKeyring'), ref('environmentKeyring'), ref('tableKeyring')],
      },
    },
    fields: { type: 'object', propertyNames: permanentName, additionalProperties: ref('field') },
    secrets: {
      description: 'Credentials that are issued elsewhere; checked by @keyturn/secrets.',
      type: 'object',
      propertyNames: permanentName,
      additionalProperties: { type: 'object' },
    },
    alerts: { description: 'Who is told when a secret is in trouble.', type: 'array', items: { type: 'object' } },
    limits: {
      description: 'How much the issuers and stores of secrets may be asked, by provider; checked by @keyturn/secrets.',
      type: 'object',
      additionalProperties: { type: 'object' },
    },
  },
  required: ['keyrings', 'fields'],
  additionalProperties: false,
  $defs: {
    secret,
    root,
    keyRule: { description: 'How the text of a key becomes its bytes.', enum: ['hex', 'base64', 'base64url', 'utf8', 'passphrase'] },
    alsoUsedFor: {
      description: 'what else hangs on the keys, and what becomes of it when they change',
      type: 'object',
      propertyNames: { pattern: '^.+$', description: 'a word for what hangs on the keys' },
      additionalProperties: { type: 'string', pattern: '^.+$', description: 'a sentence on what becomes of it' },
    },
    tokens: {
      description: 'How long tokens live, and how long what verifies them may rely on what it knows.',
      type: 'object',
      properties: { lifetime: duration, skew: duration, jwksCache: duration, offline: duration },
      additionalProperties: false,
    },
    firstKey: {
      description: 'The key that the application has signed with so far.',
      type: 'object',
      properties: {
        key: ref('secret'),
        kid: { type: 'string', pattern: '^[!-~]{1,200}$', description: 'what stands as "kid" in its tokens' },
        keyRule: ref('keyRule'),
      },
      required: ['key'],
      additionalProperties: false,
    },
    signing: { type: 'object', properties: { key: ref('secret') }, required: ['key'], additionalProperties: false },
    storedKeyring,
    environmentKeyring,
    tableKeyring,
    tableColumns,
    columnName,
    codec,
    field,
    writes: { type: 'object', properties: { codec }, required: ['codec'], additionalProperties: true },
    reads: {
      type: 'object',
      properties: {
        codec,
        keyring: { type: 'string', ...permanentName },
        key: ref('secret'),
        previous: { type: 'array', items: ref('secret') },
        keyRule: ref('keyRule'),
      },
      required: ['codec'],
      additionalProperties: true,
    },
  },
}
