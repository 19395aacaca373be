/**
 * Every error that Keyturn raises on purpose: a code to test, a sentence to act on.
 *
 * The classes say what the caller can do; the code says which rule was broken; the sentence says what, where and what to do
 * next. No sentence takes a plaintext, ciphertext, key, token or connection string: the arguments are names and counts. What looks
 * like a key or an address with a password is left out all the same: people put them where names belong.
 * `docs/errors.md` is compared with this table by a test.
 */

/** What the caller can do about an error. */
export type ErrorClass = 'usage' | 'key' | 'decrypt' | 'conflict' | 'service'

const table = {
  // usage: the call, the configuration or the plan is wrong; nothing was attempted
  ERR_USAGE: ['usage', '%s'],
  ERR_CONFIG: ['usage', 'the configuration is wrong at %s: %s'],
  ERR_CONFIG_NOT_FOUND: ['usage', 'there is no configuration at %s. Run "keyturn init", or give --database and the key flags'],
  ERR_ENV_MISSING: ['usage', 'the environment variable %s is not set. It is needed for %s'],
  ERR_UNKNOWN_DRIVER: ['usage', 'there is no %s named "%s". Available: %s'],
  ERR_UNKNOWN_NAME: ['usage', 'there is no %s named "%s"%s'],
  ERR_KEY_STATE: ['usage', 'keyring "%s": key version %s is %s and cannot become %s'],
  ERR_NOT_TEXT: ['usage', 'field "%s": %s is not well-formed text. Use bytes instead'],
  ERR_BOUND_VALUE: ['usage', 'field "%s": the bound column "%s" needs a value of type %s'],
  ERR_BIND_TYPE: ['usage', 'field "%s" cannot be bound to column "%s": %s'],
  ERR_BIND_CHANGED: [
    'usage',
    'field "%s" was first written bound to (%s) and is now declared bound to (%s). The order and the types are frozen',
  ],
  ERR_ROW_UNKNOWN: ['usage', 'field "%s" is bound to column "%s", and %s does not say what it holds. %s'],
  ERR_NOT_SEARCHABLE: [
    'usage',
    'field "%s": %s compares an encrypted column, and each encryption of a value is another. Ask for null or not null, or look by another column',
  ],
  ERR_SECRET_SCHEMA: ['usage', 'the schema cannot say what is secret, at %s: %s'],
  ERR_SECRET_FIELD: ['usage', 'the document does not fit its schema at %s: %s. Nothing was changed'],
  ERR_MASK: ['usage', 'the mask at %s stands for no value: %s. Send the value itself, or nothing'],
  ERR_TOKEN_COLUMN: ['usage', 'column %s: %s. Its tokens were not hashed'],
  ERR_UNKNOWN_TABLE: ['usage', 'field "%s": there is no table "%s" in the database%s'],
  ERR_UNKNOWN_COLUMN: ['usage', 'field "%s": table "%s" has no column "%s"%s'],
  ERR_NOT_A_TABLE: ['usage', 'field "%s": "%s" is %s, not a table. Name the table that holds the values'],
  ERR_COLUMN_TYPE: ['usage', 'field "%s": column "%s" is of type %s; values can stand in text, varchar, bytea, json and jsonb columns'],
  ERR_COLUMN_TOO_SHORT: ['usage', 'field "%s": column "%s" holds at most %s characters and the new values need %s. Widen the column first'],
  ERR_NO_UNIQUE_KEY: [
    'usage',
    'table "%s" has no primary key and no unique key over columns that are NOT NULL and hold no field. Add one: rows are walked by it',
  ],
  ERR_PRIVILEGE: ['usage', 'the database user lacks the privilege %s on %s. Grant it, or use a role that has it'],
  ERR_SAME_KEY: ['usage', 'the old key and the new key of %s are the same. Nothing would change'],
  ERR_SAMPLE: [
    'usage',
    'field "%s": the old key opens none of %s sampled values. Is this the right key, and the right format? "keyturn inspect" says which formats a value fits',
  ],
  ERR_SAMPLE_SHARE: [
    'usage',
    'field "%s": %s of %s sampled values do not open. Look at the plan, then accept that they will be set aside (--yes)',
  ],
  ERR_PLAN: ['usage', 'the plan cannot be used: %s. Make it again with "keyturn plan --out FILE"'],
  ERR_PLAN_CHANGED: ['usage', 'the plan does not hold any more: %s. Nothing was changed. Make a new plan and look at it'],
  ERR_FENCE_NONE: ['usage', '%s: %s, so that the database cannot refuse it and nothing can prove its end. It cannot be retired'],
  ERR_FIELD_FORGOTTEN: [
    'usage',
    'field "%s" has values under keyring "%s" in %s, and the configuration does not say how to read them. Declare it (under a new name with "was"), or drop the column',
  ],
  ERR_HORIZON: [
    'usage',
    'keyring "%s": backups may hold values under key version %s until %s. Wait until then, or destroy it at once with --now if none is needed',
  ],
  ERR_STATE_NEWER: ['usage', 'the state in schema "%s" was written by a newer Keyturn (migration %s; this one knows %s). Upgrade Keyturn'],
  ERR_STATE_OLDER: [
    'usage',
    'the state in schema "%s" was made by an older Keyturn (migration %s; this one needs %s). Run "keyturn init", which brings it up to date',
  ],
  ERR_STATE_MISSING: [
    'usage',
    'the tables of Keyturn are not there, in schema "%s". "keyturn init" makes them; if this user may not, give the output of "keyturn init --sql" to your DBA',
  ],
  ERR_PRESET_FIT: [
    'usage',
    'preset "%s" does not fit this database: %s. It was tested with %s. Is this the database of that application, and a version near that one?',
  ],
  ERR_UNAUTHORIZED: ['usage', 'the request names nobody who may do this. Sign in, or send a token'],
  ERR_NOT_FOUND: ['usage', 'there is nothing here that answers %s'],
  ERR_FORBIDDEN: ['usage', 'this request may not do that: %s'],
  ERR_INPUT: ['usage', 'the request is wrong at %s: %s. Nothing was changed'],
  ERR_PASSWORD_AGAIN: ['usage', 'what cannot be undone needs your password again: send it as "password"'],
  ERR_IDEMPOTENCY_KEY: ['usage', 'this Idempotency-Key was sent with another request before. Send a new one'],
  ERR_RATE_LIMITED: ['usage', 'there were too many attempts. Try again in %s s'],
  ERR_PUBLIC_ADDRESS: [
    'usage',
    'the server would be open to others at %s without encryption. Give --tls-cert and --tls-key; or, where a proxy with TLS stands before it, --trust-proxy with its address',
  ],
  ERR_SECRET_PLAN: ['usage', 'secret "%s" cannot be changed, at %s: %s. Nothing was called that changes anything'],
  ERR_PROVIDED: ['usage', 'what was given for "%s" cannot be it: %s. Nothing was changed'],
  ERR_NODE_VERSION: ['usage', 'Keyturn needs Node 22.18 or newer; this is %s'],

  // key: a key is missing, malformed, stale or refused
  ERR_KEY_FORMAT: ['key', '%s is not a key by the rule "%s": %s'],
  ERR_KEY_MISSING: ['key', '%s is not set. In production the process does not start without it'],
  ERR_KEY_ZERO: ['key', '%s is all zeros, a key that everybody knows. In production the process does not start with it'],
  ERR_KEY_NOT_FOUND: ['key', 'keyring "%s" has no key version %s. Was it destroyed, or is this the wrong keyring?'],
  ERR_KEY_NOT_LOADED: ['key', 'keyring "%s": %s is not loaded in this process. Use the asynchronous form, which reloads once'],
  ERR_KEYRING_NOT_FOUND: ['key', 'keyring "%s" does not exist yet. Open it once, or run "keyturn init"'],
  ERR_KEYRING_STALE: [
    'key',
    'keyring "%s" was last refreshed %s ms ago, more than twice its refresh interval. Nothing is encrypted until a refresh succeeds',
  ],
  ERR_KEYRING_FORGED: [
    'key',
    'the states of keyring "%s" are not authentic under its root key. They were changed by somebody without the key, or belong to another root',
  ],
  ERR_KEY_EXHAUSTED: ['key', 'keyring "%s": key version %s has encrypted 2^32 messages. Rotate the keyring'],
  ERR_ROOT_KEY: ['key', 'none of the root keys given (%s) opens keyring "%s", which is wrapped under %s. Give that one'],
  ERR_ROOT_KEY_REFUSED: ['key', 'the root key %s cannot be used: %s'],
  ERR_DEVELOPMENT_KEY: [
    'key',
    'field "%s": the value does not open under the development key, which is derived from %s. Did one of them change?',
  ],
  ERR_CERTIFICATE: ['key', 'the %s does not check: %s. Do not rely on it'],
  ERR_AUDIT: [
    'conflict',
    'the audit log does not end where its head says, at event %s: it was changed by hand. Look with "keyturn audit verify"',
  ],

  ERR_SIGNING_STALE: [
    'key',
    'keyring "%s" was last loaded %s ms ago, and what was revoked since is not known here. No token is %s until a load succeeds',
  ],
  ERR_GRACE: [
    'key',
    'keyring "%s": tokens that key version %s has signed may be valid until %s. Wait until then, or end them with --now (%s)',
  ],

  // decrypt: one wording for all causes
  ERR_DECRYPT: ['decrypt', 'the value does not open'],
  ERR_TOKEN: ['decrypt', 'the token is not valid'],

  ERR_DECRYPT_AT: ['decrypt', 'the value at %s does not open'],

  // conflict: somebody else was first
  ERR_REVISION: ['conflict', 'keyring "%s" was saved by another process since it was loaded. Load it again'],
  ERR_KEY_ID_TAKEN: ['conflict', 'keyring "%s": the id drawn for a new key belongs to another one. Draw again'],
  ERR_ROTATION_RUNNING: [
    'conflict',
    'keyring "%s" already has a rotation, %s, in state %s. Wait for it; or if its process has ended, resume it with "keyturn resume %s", or cancel it',
  ],
  ERR_ROTATION_STATE: ['conflict', 'rotation %s is %s; it cannot be %s'],
  ERR_LEASE_LOST: ['conflict', 'rotation %s was taken over by another process. This one stopped; nothing is lost'],
  ERR_LEASE_HELD: ['conflict', 'rotation %s is being run by another process. Wait until its lease ends, at most %s s'],
  ERR_STATE_IN_USE: ['conflict', 'the state at %s is in use by another process'],
  ERR_LOCK_TIMEOUT: ['conflict', 'the lock on %s could not be had in %s tries: other transactions hold it. Nothing was changed'],
  ERR_HELD: ['conflict', 'table %s is held by rotation %s: restart the application with its new key, then run "keyturn release"'],
  ERR_APP_RUNNING: ['conflict', '%s other client sessions are connected to the database. Stop the application, or leave out --app-stopped'],
  ERR_RESUME_KEYS: ['conflict', 'rotation %s was started with other keys or fields. Give the same ones to resume it, or cancel it first'],

  ERR_RUN_RUNNING: [
    'conflict',
    'secret "%s" already has a run, %s, in state %s. See "keyturn secrets history SECRET"; then wait for it, or resume it, roll it back or cancel it',
  ],
  ERR_RUN_STATE: ['conflict', 'run %s is %s; it cannot be %s'],
  ERR_RUN_LEASE: ['conflict', 'run %s is being worked on by another process, or was taken over by one. This one stopped; nothing is lost'],

  ERR_NAME_TAKEN: ['conflict', 'there is a %s named "%s" already. Choose another name'],
  ERR_LAST_ADMIN: ['conflict', 'this is the last admin: nobody could let anybody in any more. Make another admin first'],
  ERR_SET_ASIDE: [
    'conflict',
    'keyring "%s": %s values set aside name the key versions to be retired. Repair or delete them, or accept exactly that many (--accept-set-aside %s)',
  ],
  ERR_FENCE_VALUES: [
    'conflict',
    'values under key version %s stand in table %s, where no rotation rewrites them: outside the places of its fields, or written meanwhile. Look with "keyturn census", then retire again',
  ],
  ERR_FENCE_MISSING: [
    'conflict',
    'the database does not refuse key version %s in table %s, column "%s": the constraint was dropped or altered. Make it again with "keyturn retire"',
  ],
  ERR_KEY_FENCED: [
    'conflict',
    'the database refuses key version %s, which is retired: nothing was written. The keyring has been loaded again: encrypt and write once more, in a new transaction',
  ],
  ERR_STILL_NAMED: [
    'conflict',
    'keyring "%s": key version %s is still needed: %s values name it, and %s that do not open name a key that is not known. Repair or delete them first',
  ],
  ERR_TRANSACTIONS_OPEN: [
    'conflict',
    'keyring "%s": transactions that began while the old key could still be used are open (%s). End them, then try again',
  ],
  ERR_INTERRUPTED: ['conflict', '%s was interrupted. Nothing is half done: begin it again'],

  // service: the outside failed; try again
  ERR_DATABASE: ['service', 'the database failed (%s) while %s'],
  ERR_ROOT_KEY_UNREACHABLE: [
    'service',
    'the root key %s was asked for %s times and did not open or wrap anything: %s. Nothing was changed. Try again, and look at the network and at the status of the service if it stays so',
  ],
  ERR_OUTSIDE_BUSY: ['service', '%s did not take the call: %s. Nothing was changed there. Try again later'],
  ERR_OUTSIDE_UNCERTAIN: ['service', '%s: %s. Whether the call took effect there is not known. Look before it is made again'],
  ERR_OUTSIDE_REFUSED: [
    'service',
    '%s refused the call: %s. Nothing was changed there. Look at the login, its rights and the names in the configuration',
  ],
  ERR_UNEXPECTED: ['service', 'something failed that should not have (%s). KEYTURN_DEBUG=1 shows where'],
  ERR_ROUND_TRIP: [
    'service',
    'field "%s": a new value did not decrypt to what was encrypted. Nothing was written; this is a defect, please report it',
  ],
  ERR_EMPTY_VALUE: [
    'decrypt',
    'the stored value is the empty string, which no codec wrote. Declare the field with empty: "keep" if that means "not set"',
  ],
  ERR_DOCUMENT: [
    'conflict',
    'field "%s": the column holds no JSON, or something other than a string at the path. It stays as it is: correct it, or the path of the field',
  ],
  ERR_KEY_ID_SHARED: [
    'conflict',
    'field "%s": the value shares its key id with one beside it that does not open. They change together: mend that one first',
  ],
  ERR_JOB_ROW: [
    'conflict',
    'field "%s": the row that the job refers to is not there, or holds no value any more. The job has nothing to do: drop it',
  ],
  ERR_ROW_REFUSED: ['conflict', 'the database refuses the new value of this row: a constraint or a trigger of the application'],
  ERR_CONFLICT_REMAINS: ['conflict', 'the value kept changing while it was rewritten'],
} as const satisfies Record<`ERR_${string}`, readonly [ErrorClass, string]>

/** A stable code of an error. */
export type ErrorCode = keyof typeof table

/** The table of codes, for the documentation and its test. */
export const errorCodes: Readonly<Record<ErrorCode, readonly [ErrorClass, string]>> = table

/** The base of all errors that Keyturn raises on purpose. */
export class KeyturnError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = new.target.name
  }
}
/** The call, configuration or plan is wrong. Nothing was attempted. */
export class UsageError extends KeyturnError {}
/** A key is missing, malformed, stale or refused. */
export class KeyError extends KeyturnError {}
/** A value does not open. One wording for all causes, so that an attacker learns nothing. */
export class DecryptError extends KeyturnError {}
/** Somebody else was first. Look, then try again. */
export class ConflictError extends KeyturnError {}
/** Something outside failed. Try again later. */
export class ServiceError extends KeyturnError {}

const classes = {
  usage: UsageError,
  key: KeyError,
  decrypt: DecryptError,
  conflict: ConflictError,
  service: ServiceError,
} as const

/**
 * Makes the error of a code. The arguments fill the `%s` of its sentence in order.
 *
 * @param code - a code of the table
 * @param args - names and counts; never a value, key or connection string
 * @example
 * fail('ERR_KEY_NOT_FOUND', 'app', 'aaaqeaye').code // 'ERR_KEY_NOT_FOUND'
 */
export function fail(code: ErrorCode, ...args: (string | number | bigint)[]): KeyturnError {
  return new classes[table[code][0]](code, sentence(code, ...args))
}

/** The sentence of a code with its arguments filled in; in place of what looks like a secret stands an ellipsis. */
export function sentence(code: ErrorCode, ...args: (string | number | bigint)[]): string {
  let next = 0
  return table[code][1].replaceAll('%s', () => withoutSecrets(String(args[next++] ?? '')))
}

/**
 * What is no name: a private key in PEM; an address with a password; an API token of ours; and as a word of its own, 32 or 64 hexadecimal digits or 32 bytes
 * in base64. A path may have such words in it, and a head of the audit log has one after its number.
 */
const secrets = [
  /-----BEGIN [\s\S]*/g,
  /\b[a-z][a-z0-9+.-]*:\/\/[^\s"']*(?::[^\s/@"']+@|[?&]password=)[^\s"']*/gi,
  /\bkt_[\w-]{43,}/g,
  /(?<![^\s"'.=])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![^\s"'.,:;)])/gi,
  /(?<![^\s"'.=])(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])[A-Za-z0-9+_-][A-Za-z0-9+/_-]{42}=?(?![^\s"'.,:;)])/g,
]
const withoutSecrets = (text: string): string => secrets.reduce((rest, secret) => rest.replace(secret, '…'), text).replace(controls, ' ')
/** A name from the database that holds a line break would write lines of its own into a log. */
const controls = /[\p{Cc}\u2028\u2029]/gu

/** Whether `error` is one of ours, optionally with one of these codes. */
export function isKeyturnError(error: unknown, ...codes: ErrorCode[]): error is KeyturnError {
  return error instanceof KeyturnError && (codes.length === 0 || codes.includes(error.code))
}
