import type { Call } from './call.ts'
import type { Exit } from './exit.ts'
import { agreement, connection, decisions, fields, json, manner, type Option, pace } from './options.ts'

/** One verb of the command. */
export interface Verb {
  /** One word, or two: `rotate`, `audit verify`. */
  readonly name: string
  /** As usage shows them: `[KEYRING]`, which may be left out, or `VERSION`, which may not. */
  readonly arguments: readonly string[]
  /** One line. */
  readonly summary: string
  readonly options: readonly Option[]
  readonly example: string
  /** The codes it can end with. */
  readonly exits: readonly Exit[]
  readonly load: () => Promise<{ readonly default: Run }>
}
/** Does the work of a verb. @returns the exit code */
export type Run = (call: Call) => Promise<number>

const format: Option = {
  flags: '--format <FORMAT>',
  help: 'hex (unless given), base64, base64url, chars: letters and digits; or ed25519: a key that signs certificates',
}
const size: readonly Option[] = [
  { flags: '--bytes <N>', help: 'bytes of randomness; 32 unless given' },
  { flags: '--length <N>', help: 'for chars: how many characters; 32 unless given' },
  { flags: '--public <FILE>', help: 'for ed25519: write the public key to this new file; else it is shown on standard error' },
]
const files: readonly Option[] = [
  { flags: '--sql', help: 'print the SQL that makes the schema, for a DBA; change nothing' },
  { flags: '--json-config', help: 'write keyturn.config.json instead of keyturn.config.ts' },
]
const run: readonly Option[] = [...connection, ...fields, ...pace]
const rows: Option = { flags: '--rows <N>', help: 'how many values; 20000 unless given' }
const wrapping: readonly Option[] = [
  { flags: '--drop <ROOT_ID>', help: 'then delete what is wrapped under this root key' },
  { flags: '--export <FILE>', help: 'instead, write the keyring to this file, wrapped under the root key of --root-env' },
  { flags: '--root-env <NAME>', help: 'with --export: the environment variable that holds the other root key' },
]
const out: Option = { flags: '--out <FILE>', help: 'write the plan to this new file, for "keyturn rotate --plan"' }
const planned: Option = { flags: '--plan <FILE>', help: 'refuse unless the facts are still those of this plan' }
const retirement: readonly Option[] = [
  { flags: '--version <ID>', help: 'only this key version; all that are retiring unless given (repeatable)', repeated: true },
  { flags: '--accept-set-aside <N>', help: 'the exact number of values set aside that name the key: they may stay as they are' },
]
const now: Option = { flags: '--now', help: 'before the backup horizon is over: backups under the key cannot be read any more' }
const atOnce: Option = {
  flags: '--now',
  help: 'tokens: sign with the new key at once; verifiers that have not heard of it refuse its tokens until they have',
}
const early: readonly Option[] = [
  { flags: '--now', help: 'tokens: end keys before what they have signed has expired; it says how many tokens that ends' },
  { flags: '--compromised', help: 'tokens: as --now, and mark the keys: others have them' },
]
const exported: Option = { flags: '--file <FILE>', help: 'check this export of it instead, without a database' }
const expect: Option = {
  flags: '--expect <HEAD>',
  help: 'a head obtained elsewhere, which the log must hold: finds one that was cut short',
}
const publicKey: Option = {
  flags: '--public-key <FILE>',
  help: 'the public key of the signer, obtained from the signer and not with the certificate',
}
const checkpointKey: Option = {
  flags: '--public-key <FILE>',
  help: 'with --expect: the head is a checkpoint, and this is the public key of its signer',
}
const onlyField: Option = { flags: '--field <NAME>', help: 'only the sessions of this field (repeatable)', repeated: true }
const tokens: readonly Option[] = [
  { flags: '--mark <COLUMN>', help: 'a column that says which rows are hashed; unless given, hashes are marked themselves: sha256:…' },
  { flags: '--refuse-plain', help: 'when all are hashed, have the database refuse tokens in the clear' },
]
const port: Option = { flags: '--port <N>', help: 'where it listens; 7300 unless given' }
const listening: readonly Option[] = [
  port,
  { flags: '--host <ADDRESS>', help: 'the address it listens at; 127.0.0.1 unless given' },
  { flags: '--embedded', help: 'serve an embedded database, which no other process can open meanwhile' },
  { flags: '--trust-proxy <ADDRESS>', help: 'a proxy with TLS stands before it at this address, or network: it is believed who asks' },
  { flags: '--tls-cert <FILE>', help: 'speak TLS with this certificate, in PEM' },
  { flags: '--tls-key <FILE>', help: 'with --tls-cert: its key, in PEM' },
  { flags: '--demo', help: 'serve an example application in a database of its own, in memory' },
]
const served: readonly Option[] = [{ flags: '--serve', help: 'open the console on it instead' }, port]
const wait: Option = { flags: '--wait <PERIOD>', help: 'stay with the run through waits of up to this: 30s, 90m, 24h; 60s unless given' }
const leaked: Option = { flags: '--leaked', help: 'it may be known to others: no grace, and those who are to hear of leaks are told' }
const part: Option = {
  flags: '--part <NAME>',
  help: 'where a task asks for several parts: one line of standard input for each, in this order (repeatable); else a JSON object',
  repeated: true,
}
const group: Option = { flags: '--group <NAME>', help: 'the secrets of this group, as the configuration names it' }
const apply: Option = { flags: '--apply', help: 'write what differs, and have the targets take it' }
const answers: readonly Option[] = [
  { flags: '--remove <ID,…>', help: 'of the ids that the run asks about: these are its own, and are ended' },
  { flags: '--keep <ID,…>', help: 'these belong to others' },
]
const since: Option = { flags: '--since <TIME>', help: 'of a secret: when it became known to others; what was made later is not exposed' }
const [config, database] = connection as [Option, Option, Option]

/** The verbs: parser, help and documentation come from this table. */
// biome-ignore format: a table is read by its lines
export const verbs: readonly Verb[] = [
  { name: 'init', arguments: [], summary: 'write a configuration and make the schema of Keyturn', options: [...connection, ...files], example: 'keyturn init --sql > keyturn.sql', exits: [0, 2], load: () => import('./commands/init.ts') },
  { name: 'keygen', arguments: [], summary: 'print a new random key, and nothing else', options: [format, ...size, json], example: 'keyturn keygen --format base64 > new.key', exits: [0, 2], load: () => import('./commands/keygen.ts') },
  { name: 'plan', arguments: ['[KEYRING]'], summary: 'show what a rotation would do; change nothing', options: [...connection, ...fields, ...manner, out], example: 'keyturn plan app', exits: [0, 2], load: () => import('./commands/plan.ts') },
  { name: 'rotate', arguments: ['[KEYRING]'], summary: 'make a new key active and rewrite every value under it', options: [...run, ...manner, planned, atOnce, ...decisions], example: 'keyturn rotate --database env:DATABASE_URL --field users.token --format hex-colon --key-rule hex --old-env OLD_KEY --new-env NEW_KEY', exits: [0, 1, 2, 3, 4], load: () => import('./commands/rotate.ts') },
  { name: 'pause', arguments: ['[ROTATION]'], summary: 'ask the process that runs a rotation to finish its batch and pause', options: [...connection, ...fields], example: 'keyturn pause', exits: [0, 1, 2], load: () => import('./commands/pause.ts') },
  { name: 'resume', arguments: ['[ROTATION]'], summary: 'go on with a rotation that was paused, interrupted or killed', options: [...run, ...decisions], example: 'keyturn resume', exits: [0, 1, 2, 3, 4], load: () => import('./commands/resume.ts') },
  { name: 'cancel', arguments: ['[ROTATION]'], summary: 'end an unfinished rotation; every value stays readable', options: [...connection, ...fields], example: 'keyturn cancel', exits: [0, 1, 2], load: () => import('./commands/cancel.ts') },
  { name: 'release', arguments: ['[ROTATION]'], summary: 'end the hold of a transaction, once the application has its new key', options: [...connection, ...fields], example: 'keyturn release', exits: [0, 1, 2], load: () => import('./commands/release.ts') },
  { name: 'verify', arguments: ['[KEYRING]'], summary: 'open every value and count; change nothing', options: [...connection, ...fields], example: 'keyturn verify', exits: [0, 1, 2, 3], load: () => import('./commands/verify.ts') },
  { name: 'status', arguments: ['[KEYRING]'], summary: 'show keyrings, rotations and holds', options: [...connection, ...fields], example: 'keyturn status --json', exits: [0, 2], load: () => import('./commands/status.ts') },
  { name: 'census', arguments: ['[KEYRING]'], summary: 'count the values by format and key; change nothing', options: [...connection, ...fields], example: 'keyturn census app', exits: [0, 1, 2], load: () => import('./commands/census.ts') },
  { name: 'retire', arguments: ['[KEYRING]'], summary: 'have the database refuse an old key, and check that no row holds it', options: [...connection, ...retirement, ...early, ...pace, agreement], example: 'keyturn retire app', exits: [0, 1, 2, 3, 4], load: () => import('./commands/retire.ts') },
  { name: 'unretire', arguments: ['KEYRING', 'VERSION'], summary: 'take down the fence of a retired key, for a restored backup', options: [...connection, agreement], example: 'keyturn unretire app aaaqeaye', exits: [0, 1, 2], load: () => import('./commands/unretire.ts') },
  { name: 'destroy', arguments: ['KEYRING', 'VERSION'], summary: 'erase a retired key, for good', options: [...connection, now, agreement], example: 'keyturn destroy app aaaqeaye', exits: [0, 1, 2], load: () => import('./commands/destroy.ts') },
  { name: 'rewrap', arguments: ['[KEYRING]'], summary: 'wrap the keys of a keyring under its first root key', options: [...connection, ...wrapping], example: 'keyturn rewrap app', exits: [0, 1, 2], load: () => import('./commands/rewrap.ts') },
  { name: 'sessions end', arguments: [], summary: 'end every session in which fields in Redis stand', options: [...connection, onlyField, agreement], example: 'keyturn sessions end --field session.tokens', exits: [0, 1, 2, 4], load: () => import('./commands/sessions/end.ts') },
  { name: 'hash-tokens', arguments: ['COLUMN'], summary: 'replace the tokens of a column by their SHA-256, for good', options: [...connection, ...tokens, ...pace, agreement], example: 'keyturn hash-tokens invitation_token.token', exits: [0, 1, 2, 3, 4], load: () => import('./commands/hash-tokens.ts') },
  { name: 'secrets list', arguments: [], summary: 'show the secrets of the configuration, overdue ones first', options: [...connection], example: 'keyturn secrets list', exits: [0, 2], load: () => import('./commands/secrets/list.ts') },
  { name: 'secrets plan', arguments: ['[NAME]'], summary: 'say what a rotation would call, and check whether it could; change nothing', options: [...connection], example: 'keyturn secrets plan database', exits: [0, 2], load: () => import('./commands/secrets/plan.ts') },
  { name: 'secrets rotate', arguments: ['NAME'], summary: 'make a new credential, deploy it, verify it, and then end the old one', options: [...connection, leaked, wait], example: 'keyturn secrets rotate database --wait 2h', exits: [0, 1, 2, 3, 4], load: () => import('./commands/secrets/rotate.ts') },
  { name: 'secrets provide', arguments: ['RUN'], summary: 'give what a task asks for, from standard input, and go on', options: [...connection, part, wait], example: 'keyturn secrets provide anthropic < new.key', exits: [0, 1, 2, 3, 4], load: () => import('./commands/secrets/provide.ts') },
  { name: 'secrets sync', arguments: ['[NAME…]'], summary: 'compare stores with the credentials in use, by digests; rotate nothing', options: [...connection, group, apply], example: 'keyturn secrets sync --group postgres --apply', exits: [0, 1, 2, 3, 4], load: () => import('./commands/secrets/sync.ts') },
  { name: 'secrets rollback', arguments: ['RUN'], summary: 'take a run back to the credential from before', options: [...connection, wait, agreement], example: 'keyturn secrets rollback database', exits: [0, 1, 2, 4], load: () => import('./commands/secrets/rollback.ts') },
  { name: 'secrets revoke', arguments: ['RUN'], summary: 'end the old credential now, before its grace is over', options: [...connection, wait, agreement], example: 'keyturn secrets revoke database', exits: [0, 1, 2, 3, 4], load: () => import('./commands/secrets/revoke.ts') },
  { name: 'secrets resume', arguments: ['RUN'], summary: 'go on with a run that is paused, waits, or was interrupted', options: [...connection, ...answers, wait], example: 'keyturn secrets resume database', exits: [0, 1, 2, 3, 4], load: () => import('./commands/secrets/resume.ts') },
  { name: 'secrets cancel', arguments: ['RUN'], summary: 'end a run that has made nothing yet; take back one that has', options: [...connection, wait], example: 'keyturn secrets cancel database', exits: [0, 1, 2, 4], load: () => import('./commands/secrets/cancel.ts') },
  { name: 'secrets history', arguments: ['NAME'], summary: 'show the runs of a secret and what each step saw', options: [...connection], example: 'keyturn secrets history database', exits: [0, 2], load: () => import('./commands/secrets/history.ts') },
  { name: 'secrets runbook', arguments: ['[NAME]'], summary: 'print a runbook in Markdown, with what is left to people', options: [...connection], example: 'keyturn secrets runbook > RUNBOOK.md', exits: [0, 2], load: () => import('./commands/secrets/runbook.ts') },
  { name: 'secrets attend', arguments: [], summary: 'begin what is due and go on with what waits, once: for cron', options: [...connection], example: 'keyturn secrets attend', exits: [0, 1, 2, 4], load: () => import('./commands/secrets/attend.ts') },
  { name: 'leak', arguments: ['KEY|SECRET'], summary: 'say what a leaked key or secret opens, and what is still exposed', options: [...connection, since], example: 'keyturn leak app/aaaqeaye', exits: [0, 1, 2, 3], load: () => import('./commands/leak.ts') },
  { name: 'inspect', arguments: [], summary: 'say what one stored value is, read from standard input; needs no key', options: [json], example: 'psql -At -c "select token from users limit 1" | keyturn inspect', exits: [0, 1, 2], load: () => import('./commands/inspect.ts') },
  { name: 'presets', arguments: [], summary: 'list the applications that Keyturn knows', options: [json], example: 'keyturn presets', exits: [0], load: () => import('./commands/presets.ts') },
  { name: 'presets show', arguments: ['NAME'], summary: 'show the fields of an application that Keyturn knows', options: [json], example: 'keyturn presets show langfuse', exits: [0, 2], load: () => import('./commands/presets/show.ts') },
  { name: 'formats', arguments: [], summary: 'list the formats, their options and the key rules', options: [json], example: 'keyturn formats', exits: [0], load: () => import('./commands/formats.ts') },
  { name: 'audit verify', arguments: [], summary: 'check the audit log, event by event', options: [...connection, exported, expect, checkpointKey], example: 'keyturn audit verify --expect 42:6b1f…', exits: [0, 1, 2], load: () => import('./commands/audit/verify.ts') },
  { name: 'audit export', arguments: [], summary: 'print the audit log, a line of JSON for each event', options: [config, database], example: 'keyturn audit export > audit.jsonl', exits: [0, 1, 2], load: () => import('./commands/audit/export.ts') },
  { name: 'audit checkpoint', arguments: [], summary: 'sign the head of the audit log, to be kept elsewhere', options: [...connection], example: 'keyturn audit checkpoint --json >> checkpoints.jsonl', exits: [0, 1, 2], load: () => import('./commands/audit/checkpoint.ts') },
  { name: 'certificate list', arguments: [], summary: 'list the certificates that the database keeps', options: [...connection], example: 'keyturn certificate list', exits: [0, 2], load: () => import('./commands/certificate/list.ts') },
  { name: 'certificate show', arguments: ['[ID]'], summary: 'print a certificate, the newest unless one is named', options: [...connection], example: 'keyturn certificate show --json > certificate.json', exits: [0, 2], load: () => import('./commands/certificate/show.ts') },
  { name: 'certificate verify', arguments: ['FILE'], summary: 'check a certificate, without a database', options: [publicKey, json], example: 'keyturn certificate verify certificate.json --public-key signer.pub', exits: [0, 1, 2], load: () => import('./commands/certificate/verify.ts') },
  { name: 'demo', arguments: [], summary: 'rotate the keys of an example application, in a database of its own', options: [rows, ...served, json], example: 'keyturn demo --rows 2000', exits: [0, 1, 2], load: () => import('./commands/demo.ts') },
  { name: 'serve', arguments: [], summary: 'serve the console and the HTTP API', options: [...connection, ...listening, rows], example: 'keyturn serve --port 7300', exits: [0, 1, 2], load: () => import('./commands/serve.ts') },
  { name: 'doctor', arguments: [], summary: 'check Node, configuration, environment, database and keys', options: [...connection, ...fields], example: 'keyturn doctor', exits: [0, 1], load: () => import('./commands/doctor.ts') },
]
