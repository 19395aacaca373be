import { fail, isKeyturnError } from '../errors.ts'
import { publicKey } from '../signing/public-key.ts'
import type { SigningKey } from '../signing/signing-key.ts'
import { canonicalJson } from './canonical.ts'
import { type Head, parseHead } from './chain.ts'
import type { AuditEvent } from './event.ts'

/** The head of the audit log at a time, signed where there is a signing key: `spec/audit.md`. */
export interface Checkpoint {
  readonly format: 'keyturn/checkpoint/1'
  /** `seq:hash` */
  readonly head: string
  readonly at: string
  readonly signer: string | null
  readonly signature: string | null
}

/** Where checkpoints come from and where they go. */
export interface Checkpoints {
  readonly signer: SigningKey | null
  /** Told of each checkpoint, one line without its line break; the place outside the database that proves the log. */
  readonly sink: ((line: string) => unknown) | undefined
  readonly actor: string
  readonly log: {
    /** The head, and the database's clock. @throws `ERR_AUDIT` when the last event does not fit the head */
    head(): Promise<{ readonly head: string; readonly at: string }>
    /** Adds an event in a transaction of its own. */
    record(event: AuditEvent): Promise<void>
  }
}

const format = 'keyturn/checkpoint/1'
const headPattern = /^(?:0|[1-9]\d{0,15}):[0-9a-f]{64}$/
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** What is signed: the head and the time. */
const claimOf = ({ head, at }: { readonly head: string; readonly at: string }): string => canonicalJson({ at, head })

/** A checkpoint of this head; unsigned without a key. */
export function makeCheckpoint({ head, at }: { readonly head: string; readonly at: string }, signer: SigningKey | null): Checkpoint {
  const signature = signer?.sign('checkpoint', claimOf({ head, at })) ?? null
  return { format, head, at, signer: signer?.publicKey.signer ?? null, signature }
}

/** The one line of a checkpoint, without its line break. */
export const checkpointLine = ({ at, head, signature, signer }: Checkpoint): string =>
  canonicalJson({ at, format, head, signature, signer })

/**
 * Reads a checkpoint, strictly: the line and nothing else. Its signature is not looked at.
 *
 * @throws `ERR_CERTIFICATE`
 */
export function parseCheckpoint(text: string): Checkpoint {
  const line = text.replace(/\r?\n$/, '')
  let found: Checkpoint
  try {
    found = JSON.parse(line)
  } catch {
    throw refused('it is not JSON')
  }
  if (typeof found !== 'object' || found === null || found.format !== format) throw refused('it is not a checkpoint of format 1')
  const { head, at, signer, signature } = found
  const texts = [signer, signature].every((value) => typeof value === 'string') || (signer === null && signature === null)
  if (typeof head !== 'string' || !headPattern.test(head) || typeof at !== 'string' || !timePattern.test(at) || !texts)
    throw refused('a member is missing or malformed')
  if (checkpointLine(found) !== line) throw refused('it is not written as checkpoints are, or has members that they do not have')
  return found
}

/**
 * Checks a checkpoint without a database. What it proves: the holder of the signing key saw the log end with this head at this time.
 *
 * @param key - the public key, SPKI in PEM or base64url
 * @throws `ERR_CERTIFICATE` with what is wrong
 */
export function checkCheckpoint(text: string, key: string): Checkpoint {
  const checkpoint = parseCheckpoint(text)
  const verifier = publicKey(key)
  const { signer, signature } = checkpoint
  if (signer === null || signature === null) throw refused('it is not signed')
  if (signer !== verifier.signer) throw refused(`it was signed with another key than ${verifier.signer}`)
  if (!verifier.verifies('checkpoint', claimOf(checkpoint), signature)) throw refused('the signature does not fit what it says')
  return checkpoint
}

/**
 * The head that a text names: a head as printed, or a checkpoint.
 *
 * @param signer - the key of this configuration: a checkpoint that names it is checked
 * @throws `ERR_USAGE`, `ERR_CERTIFICATE`
 */
export function expectedHead(text: string, signer: SigningKey | null): Head {
  if (!text.trim().startsWith('{')) return parseHead(text)
  const line = text.trim()
  const checkpoint = parseCheckpoint(line)
  const ours = signer !== null && checkpoint.signer === signer.publicKey.signer
  return parseHead((ours ? checkCheckpoint(line, signer.publicKey.text) : checkpoint).head)
}

const refused = (why: string) => fail('ERR_CERTIFICATE', 'checkpoint', why)

/** How long a sink may take: a run does not wait for a place outside that does not answer. */
const sinkMs = 5_000

/** Makes a checkpoint and tells it to the sink. A sink that fails is an event, and no error. @throws `ERR_AUDIT` */
export async function sendCheckpoint(from: Checkpoints): Promise<Checkpoint> {
  const checkpoint = makeCheckpoint(await from.log.head(), from.signer)
  if (from.sink === undefined) return checkpoint
  try {
    await within(sinkMs, from.sink(checkpointLine(checkpoint)))
  } catch {
    // What it threw is somebody else's sentence: it may hold the address of the sink, with its password.
    await from.log.record({ actor: from.actor, action: 'checkpoint.fail', subject: 'audit', data: { head: checkpoint.head } })
  }
  return checkpoint
}

/** As `sendCheckpoint`, after a change that is committed already: nothing is thrown, what fails is an event where that can be written. */
export async function announce(from: Checkpoints): Promise<void> {
  if (from.sink === undefined) return
  try {
    await sendCheckpoint(from)
  } catch (error) {
    const code = isKeyturnError(error) ? error.code : 'ERR_DATABASE'
    await from.log.record({ actor: from.actor, action: 'checkpoint.fail', subject: 'audit', data: { code } }).catch(() => {})
  }
}

async function within(ms: number, work: unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('too slow')), ms)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
