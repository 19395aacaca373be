import type { Algorithm } from '../signing/algorithm.ts'
import type { TokensConfig } from '../signing/token-times.ts'

/** Names where a secret is read from; never holds it. In JSON: `{ "env": "NAME" }` or `{ "file": "/run/secrets/key" }`. */
export type SecretRef = { readonly env: string } | { readonly file: string }

/** How the text of a key becomes its bytes. */
export type KeyRule = 'hex' | 'base64' | 'base64url' | 'utf8' | 'passphrase'

/** A codec by name, or with its options: `'kt1'`, `{ codec: 'hex-colon', order: 'iv.ct.tag', iv: 16 }`. */
export type CodecConfig = string | { readonly codec: string; readonly [option: string]: unknown }

/** A keyring that Keyturn keeps, wrapped under a root key. */
export interface StoredKeyringConfig {
  /** The root key, or several: the first one wraps, all of them unwrap. */
  readonly root: RootConfig | readonly RootConfig[]
  /** The file that keeps it, where the database does not: an exported keyring, which opens old backups. It must be there. */
  readonly file?: string
  /** Longest time a version should stay active: `90d`. `status` says when it is over. */
  readonly period?: string
  /** Whether a server (`keyturn serve`) rotates it when it is due. */
  readonly automatic?: boolean
  /** Most messages that a version should encrypt, below 2^31. `status` says how many are left. */
  readonly messages?: number
  /** How long backups are kept in which values of a retired version may stand: `35d`. Before, it is destroyed by an explicit word only. */
  readonly horizon?: string
  readonly alsoUsedFor?: AlsoUsedFor
  /** Its keys sign tokens instead of encrypting: the algorithm of new ones. What a keyring is for cannot change. */
  readonly sign?: Algorithm
  /** With `sign`: the key that the application has signed with so far. Version 1 when the keyring is made; its tokens stay valid. */
  readonly first?: FirstKeyConfig
  /** With `sign`: how long tokens live, and how long what verifies them may rely on what it knows. */
  readonly tokens?: TokensConfig
}
/** The first key of a keyring that signs: one that is there already. */
export interface FirstKeyConfig {
  /** A private key in PEM or as a JWK, for HMAC the secret. Read when the keyring is made; not needed any more when every process has it. */
  readonly key: SecretRef
  /** What stands as `kid` in its tokens; their key goes on having that name. Tokens without a `kid` are tried under it in any case. */
  readonly kid?: string
  /** For HMAC: how the text becomes the secret; `utf8` unless given, the bytes of the text. */
  readonly keyRule?: KeyRule
}
/** What else hangs on the keys, and what becomes of it when they change: `{ 'session cookies': 'everybody logs in again' }`. Plans list it. */
export type AlsoUsedFor = { readonly [what: string]: string }
/** A root key: where its text is, or a key wrapper by name with its options. */
export type RootConfig = SecretRef | { readonly wrapper: string; readonly [option: string]: unknown }

/** A keyring whose keys come from the environment: one that encrypts, and others that only decrypt. */
export interface EnvironmentKeyringConfig {
  readonly primary: SecretRef
  readonly previous?: readonly SecretRef[]
  /** Used as the primary, with a warning at the start, while `primary` is not set; as a previous key once it is. */
  readonly fallback?: SecretRef
  readonly keyRule?: KeyRule
  /** Outside production, when nothing is set: a fixed key is derived from these, with a warning. */
  readonly development?: readonly SecretRef[]
  readonly alsoUsedFor?: AlsoUsedFor
  /**
   * Its keys sign tokens: HMAC, because the environment holds secrets that signer and verifier share. They are at least as long as the
   * hash; `keyRule` is `utf8` unless given, the bytes of the text.
   */
  readonly sign?: 'HS256' | 'HS384' | 'HS512'
  /** With `sign`: how long tokens live. */
  readonly tokens?: TokensConfig
}

/** Keys that an application keeps in a table of its own, wrapped. They only decrypt, and the table is only read. */
export interface TableKeyringConfig {
  /** `table` or `schema.table`; a part with a dot in double quotes. Exact case. */
  readonly table: string
  /** The columns with the id that stands beside the values, with the wrapped key, and with the time when it was made. */
  readonly columns: { readonly id: string; readonly wrapped: string; readonly createdAt?: string }
  /** The format in which a key is wrapped. */
  readonly wrapped: CodecConfig
  /** What they are wrapped under. */
  readonly key: SecretRef
  readonly previous?: readonly SecretRef[]
  readonly keyRule?: KeyRule
  /** What was wrapped: the 32 bytes of the key (`bytes`, unless given), or a text by one of these rules. */
  readonly unwrapped?: 'bytes' | 'hex' | 'base64' | 'base64url'
  readonly alsoUsedFor?: AlsoUsedFor
}
export type KeyringConfig = StoredKeyringConfig | EnvironmentKeyringConfig | TableKeyringConfig

/** A format that a field still reads, with its keys. */
export interface ReadConfig {
  readonly codec: string
  /** The keyring whose keys open it; or `key` and `previous`. Neither for `plain`. */
  readonly keyring?: string
  readonly key?: SecretRef
  readonly previous?: readonly SecretRef[]
  readonly keyRule?: KeyRule
  /** Options of the codec. */
  readonly [option: string]: unknown
}

export interface FieldConfig {
  /**
   * `[schema.]table.column`, or `[schema.]table.column:/json/pointer` for values inside a document, where `*` is any member or element
   * and `**` at the end every string below;
   * parts with a dot in double quotes. Exact case. `redis:PATTERN[:/json/pointer]`: the values of all keys of Redis that fit a pattern.
   */
  readonly column: string
  readonly keyring: string
  /** Columns of the same row that are authenticated with the value, in an order that is frozen at the first write. */
  readonly bind?: readonly string[]
  /** Declares that rows are inserted before their value is encrypted, so that ids which the database assigns can be bound. */
  readonly insertedFirst?: boolean
  /** The format written; `kt1` unless given. */
  readonly writes?: CodecConfig
  readonly reads?: readonly (ReadConfig | string)[]
  /** What the stored empty string is: `refuse` (an error, unless given) or `keep` ("not set": left as it is). */
  readonly empty?: 'refuse' | 'keep'
  /** Inside a document: which strings at the path are values, by members beside them in the same object. All unless given. */
  readonly where?: { readonly [member: string]: string | number | boolean | null }
  /** Inside a document: `encrypted` leaves strings that are in none of the field's formats as they are, and counts them. All are values unless given. */
  readonly only?: 'encrypted'
  /** The column of the row that holds the key id, for a format that names no key. NULL in it means an older form, which `reads` opens. */
  readonly keyId?: string
  /** A regular expression of whole stored texts that are legal though nothing opens them: left as they are, whatever codec they fit. */
  readonly keep?: string
  /** Key columns that are credentials themselves: rows are named by keyed hashes of them. */
  readonly sensitive?: readonly string[]
  /** Older names of the field, under which values were sealed: they open, and are not current. */
  readonly was?: readonly string[]
}

/** What results are signed with. */
export interface SigningConfig {
  /** An Ed25519 private key: 32 bytes in hex or base64, or PKCS8 in PEM. Held by the operator, never in the database. */
  readonly key: SecretRef
}

/** What an application and the command share: the file `keyturn.config.ts`, `.mjs` or `.json`. */
export interface Config {
  readonly database?: SecretRef
  /** Where the command finds Redis, for fields there: `redis://…` or `rediss://…`. */
  readonly redis?: SecretRef
  /** Schema of Keyturn's own tables; `keyturn` unless given. */
  readonly schema?: string
  /** How often stored keyrings are refreshed; 5000 unless given. */
  readonly refreshMs?: number
  /** Unless given, results have no certificate and checkpoints no signature. */
  readonly signing?: SigningConfig
  readonly keyrings: { readonly [name: string]: KeyringConfig }
  readonly fields: { readonly [name: string]: FieldConfig }
  /** Credentials that are issued elsewhere. Their shape is that of `@keyturn/secrets` (`defineSecrets`), which checks them. */
  readonly secrets?: { readonly [name: string]: object }
  /** Who is told when a secret is in trouble; checked by `@keyturn/secrets`. */
  readonly alerts?: readonly object[]
  /** How much the issuers and stores of secrets may be asked, by provider; checked by `@keyturn/secrets`. */
  readonly limits?: { readonly [provider: string]: object }
}

/** Names an environment variable. Its value is read when the configuration is opened. */
export function env(name: string): SecretRef {
  return Object.freeze({ env: name })
}

/** A configuration whose type says what its fields are bound to. */
export type ConfigOf<F extends Config['fields']> = Omit<Config, 'fields'> & { readonly fields: F }
/** Refuses properties that no field has: the compiler does not look for them in what it infers. */
type NothingElse<F> = { readonly [N in keyof F]: { readonly [property in Exclude<keyof F[N], keyof FieldConfig>]: never } }
/** The names of the columns that a field is bound to; `string` where the type of the configuration does not say. */
export type BoundColumns<C, N extends string> = string extends N
  ? string
  : C extends { readonly fields: { readonly [name in N]: infer F } }
    ? F extends { readonly bind: readonly (infer B extends string)[] }
      ? B
      : 'bind' extends keyof F
        ? string
        : never
    : string

/** Types a configuration, so that each field asks for the columns that it is bound to. Checked when it is opened. */
export function defineConfig<const F extends Config['fields']>(config: ConfigOf<F & NothingElse<F>>): ConfigOf<F> {
  return config
}
