/** One option of the command, for parser, help and documentation. */
export interface Option {
  /** As it is written: `--field <REF>`. */
  readonly flags: string
  readonly help: string
  /** May be given several times. */
  readonly repeated?: true
}

/** What the options of all verbs come to. Text as it was given: checked where it is used. */
export interface Options {
  readonly config?: string
  readonly database?: string
  readonly redis?: string
  readonly json?: true
  readonly field?: readonly string[]
  readonly format?: string
  readonly keyRule?: string
  readonly oldEnv?: readonly string[]
  readonly oldFile?: readonly string[]
  readonly oldStdin?: true
  readonly old?: readonly string[]
  readonly newEnv?: string
  readonly newFile?: string
  readonly newStdin?: true
  readonly new?: string
  readonly to?: string
  readonly bind?: string
  readonly insertedFirst?: true
  readonly keepEmpty?: true
  readonly mode?: string
  readonly appStopped?: true
  readonly setAside?: true
  readonly rate?: string
  readonly max?: true
  readonly yes?: true
  readonly sql?: true
  readonly jsonConfig?: true
  readonly bytes?: string
  readonly length?: string
  readonly drop?: string
  readonly rows?: string
  readonly preset?: string
  readonly keyId?: string
  readonly keep?: string
  readonly where?: readonly string[]
  readonly onlyEncrypted?: true
  readonly sensitive?: string
  readonly out?: string
  readonly plan?: string
  readonly version?: readonly string[]
  readonly acceptSetAside?: string
  readonly now?: true
  readonly compromised?: true
  readonly expect?: string
  readonly file?: string
  readonly publicKey?: string
  readonly public?: string
  readonly export?: string
  readonly rootEnv?: string
  readonly mark?: string
  readonly refusePlain?: true
  readonly port?: string
  readonly host?: string
  readonly embedded?: true
  readonly trustProxy?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly leaked?: true
  readonly wait?: string
  readonly part?: readonly string[]
  readonly apply?: true
  readonly group?: string
  readonly remove?: string
  readonly since?: string
  readonly demo?: true
  readonly serve?: true
}

export const json: Option = { flags: '--json', help: 'print one line of JSON instead of words' }

/** Where the configuration and the database are. */
export const connection: readonly Option[] = [
  { flags: '--config <FILE>', help: 'the configuration; else keyturn.config.ts, .mjs or .json of this folder' },
  { flags: '--database <URL>', help: 'postgres://…, pglite:FOLDER, or env:NAME for the variable that holds it' },
  { flags: '--redis <URL>', help: 'for fields in Redis: redis://…, rediss://…, or env:NAME for the variable that holds it' },
  json,
]

/** Fields and their keys, so that no configuration is needed. */
export const fields: readonly Option[] = [
  {
    flags: '--field <REF>',
    help: 'a field by its name, or [schema.]table.column, inside JSON with :/path/* (repeatable)',
    repeated: true,
  },
  { flags: '--preset <NAME>', help: 'the fields of an application that Keyturn knows: see "keyturn presets"' },
  {
    flags: '--format <FORMAT>',
    help: 'format of the values: hex-colon (order iv.tag.ct and an IV of 12 bytes, unless given), blob (order iv.ct.tag, base64, the same IV) or kt1; with options: hex-colon,order=iv.ct.tag,iv=16',
  },
  { flags: '--key-rule <RULE>', help: 'how a key is written: hex, base64, base64url, utf8 or passphrase' },
  { flags: '--old-env <NAME>', help: 'the old key: from this environment variable (repeatable)', repeated: true },
  { flags: '--old-file <FILE>', help: 'the old key: from this file (repeatable)', repeated: true },
  { flags: '--old-stdin', help: 'the old key: one line of standard input' },
  { flags: '--old <KEY>', help: 'the old key itself; it lands in the history of the shell', repeated: true },
  { flags: '--new-env <NAME>', help: 'the new key: from this environment variable' },
  { flags: '--new-file <FILE>', help: 'the new key: from this file' },
  { flags: '--new-stdin', help: 'the new key: one line of standard input, after the old one' },
  { flags: '--new <KEY>', help: 'the new key itself; it lands in the history of the shell' },
  { flags: '--to <KEYRING>', help: 'move the values to this keyring of the configuration, in format kt1' },
  { flags: '--bind <COLUMN,…>', help: 'for kt1: columns of the row that are authenticated with each value' },
  {
    flags: '--inserted-first',
    help: 'with --bind: the database assigns the bound column, and the application stores a value only once its row is there',
  },
  { flags: '--keep-empty', help: 'the empty string means "not set": leave it as it is' },
  {
    flags: '--keep <PATTERN>',
    help: 'a regular expression of stored values that are legal though nothing opens them: leave them as they are',
  },
  { flags: '--where <MEMBER=VALUE>', help: 'inside JSON: only where a member beside the value is this (repeatable)', repeated: true },
  { flags: '--only-encrypted', help: 'inside JSON: leave strings that are in no format of the field as they are, and count them' },
  { flags: '--key-id <COLUMN>', help: 'the column that holds the key id, where it does not stand in the value' },
  { flags: '--sensitive <COLUMN,…>', help: 'columns of the row key that are secrets themselves: shown as keyed hashes' },
]

/** How a rotation is made. */
export const manner: readonly Option[] = [
  { flags: '--mode <MODE>', help: 'online (the application goes on) or transaction (all or nothing)' },
  { flags: '--app-stopped', help: 'transaction mode: no application is connected, so no hold is made' },
]
export const pace: readonly Option[] = [
  { flags: '--rate <ROWS>', help: 'rows a second at most' },
  { flags: '--max', help: 'as fast as it goes, without rest between batches' },
]
export const agreement: Option = { flags: '--yes', help: 'do not ask' }
export const decisions: readonly Option[] = [
  { flags: '--set-aside', help: 'transaction mode: leave values that do not open as they are, and commit the rest' },
  { flags: '--yes', help: 'do not ask; accept what the plan says must be accepted' },
]
