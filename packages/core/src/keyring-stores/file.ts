import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { canonicalJson } from '../audit/canonical.ts'
import { emptyHead, type LoggedEvent, nextEvent } from '../audit/chain.ts'
import { fail } from '../errors.ts'
import type { KeyState } from '../keyring/key-state.ts'
import type { KeyringStore, StoredKeyring, StoredVersion, Wrapping } from '../keyring/keyring-store.ts'
import { withLock } from '../state/file-lock.ts'

const FORMAT = 1
const MAX_MESSAGES = 2 ** 32

/** Keeps keyrings in one JSON document, with the audit chain. */
export interface FileKeyrings extends KeyringStore {
  /** The events of the document, in their order. Nothing is checked here: see `verifyChain`. */
  events(): Promise<LoggedEvent[]>
}

interface Document {
  readonly format: number
  readonly keyrings: Record<string, FiledKeyring>
  readonly audit: FiledEvent[]
}
interface FiledKeyring {
  readonly revision: number
  readonly seal: { readonly id: string; readonly wrappings: FiledWrapping[] }
  readonly mac: string
  readonly versions: FiledVersion[]
  readonly messages: Record<string, number>
}
interface FiledWrapping {
  readonly rootId: string
  readonly wrapped: string
  readonly addedAt: string
}
type FiledVersion = Omit<StoredVersion, 'wrappings' | `${string}At`> & {
  readonly createdAt: string
  readonly activatedAt: string | null
  readonly retiredAt: string | null
  readonly destroyedAt: string | null
  readonly wrappings: FiledWrapping[]
}
type FiledEvent = Omit<LoggedEvent, 'previous' | 'hash'> & { readonly previous: string; readonly hash: string }

/**
 * Keeps keyrings in one JSON document, for a single machine.
 *
 * Each change is made under a lock file beside it, written to a second file, flushed to the disk and renamed; then the folder is
 * flushed. A crash leaves the document before or after, and what it leaves behind beside it is replaced by the next change.
 *
 * @param path - the document; made by the first save, its folder must be there
 * @param waitMs - how long a change waits for another process before it throws `ERR_STATE_IN_USE`
 */
export default function fileKeyrings(path: string, { waitMs = 10_000 }: { readonly waitMs?: number } = {}): FileKeyrings {
  const change = <T>(work: (document: Document) => { readonly next: Document; readonly result: T }): Promise<T> =>
    withLock(`${path}.lock`, { waitMs, pollMs: 20 }, async () => {
      const { next, result } = work(await read(path))
      await write(path, next)
      return result
    })
  return {
    name: 'file',
    load: async (name) => {
      const filed = own((await read(path)).keyrings, name)
      return filed === undefined ? null : fromFile(name, filed)
    },
    list: async () => Object.keys((await read(path)).keyrings).sort(),
    save: (keyring, event) =>
      change((document) => {
        const { audit } = document
        const last = audit.at(-1)
        const head = last === undefined ? emptyHead : { seq: last.seq, hash: bytes(last.hash) }
        const logged = nextEvent(head, event, new Date())
        const filed = { ...logged, data: JSON.parse(canonicalJson(logged.data)), previous: hex(logged.previous), hash: hex(logged.hash) }
        return { next: { ...document, keyrings: withKeyring(document.keyrings, keyring), audit: [...audit, filed] }, result: undefined }
      }),
    reserve: (name, versionId, messages) =>
      change((document) => {
        const keyring = own(document.keyrings, name)
        const before = keyring?.messages[versionId]
        if (keyring === undefined || before === undefined) throw fail('ERR_KEY_NOT_FOUND', name, versionId)
        const result = before + messages
        if (result > MAX_MESSAGES) throw fail('ERR_KEY_EXHAUSTED', name, versionId)
        const counted = { ...keyring, messages: { ...keyring.messages, [versionId]: result } }
        return { next: { ...document, keyrings: { ...document.keyrings, [name]: counted } }, result }
      }),
    messages: async (name) => new Map(Object.entries(own((await read(path)).keyrings, name)?.messages ?? {})),
    now: async () => new Date(),
    events: async () => (await read(path)).audit.map((event) => ({ ...event, previous: bytes(event.previous), hash: bytes(event.hash) })),
  }
}

const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const own = <T>(record: Record<string, T>, name: string): T | undefined => (Object.hasOwn(record, name) ? record[name] : undefined)

/** Checks revision and ids, and files the keyring with the counts that it has. */
function withKeyring(keyrings: Record<string, FiledKeyring>, keyring: StoredKeyring): Record<string, FiledKeyring> {
  const { name, revision, seal, versions } = keyring
  const before = own(keyrings, name)
  if ((before?.revision ?? 0) !== revision - 1) throw fail('ERR_REVISION', name)
  const others = Object.entries(keyrings).flatMap(([other, filed]) =>
    [filed.seal, ...filed.versions].map((key) => `${key.id} ${other} ${'number' in key ? key.number : 0}`),
  )
  for (const key of [seal, ...versions]) {
    const mine = `${key.id} ${name} ${'number' in key ? key.number : 0}`
    if (others.some((other) => other !== mine && other.startsWith(`${key.id} `))) throw fail('ERR_KEY_ID_TAKEN', name)
  }
  const messages = Object.fromEntries(versions.map(({ id }) => [id, before?.messages[id] ?? 0]))
  return { ...keyrings, [name]: { ...toFile(keyring), messages } }
}

const fileWrappings = (wrappings: readonly Wrapping[]): FiledWrapping[] =>
  wrappings.map(({ rootId, wrapped, addedAt }) => ({ rootId, wrapped: hex(wrapped), addedAt: addedAt.toISOString() }))

function toFile({ revision, seal, mac, versions }: StoredKeyring): Omit<FiledKeyring, 'messages'> {
  return {
    revision,
    seal: { id: seal.id, wrappings: fileWrappings(seal.wrappings) },
    mac: hex(mac),
    versions: versions.map(({ wrappings, createdAt, activatedAt, retiredAt, destroyedAt, ...facts }) => ({
      ...facts,
      createdAt: createdAt.toISOString(),
      activatedAt: activatedAt?.toISOString() ?? null,
      retiredAt: retiredAt?.toISOString() ?? null,
      destroyedAt: destroyedAt?.toISOString() ?? null,
      wrappings: fileWrappings(wrappings),
    })),
  }
}

function fromFile(name: string, { revision, seal, mac, versions }: FiledKeyring): StoredKeyring {
  const date = (text: string | null) => (text === null ? null : new Date(text))
  const wrappingsOf = (filed: readonly FiledWrapping[]): Wrapping[] =>
    filed.map(({ rootId, wrapped, addedAt }) => ({ rootId, wrapped: bytes(wrapped), addedAt: new Date(addedAt) }))
  return {
    name,
    revision,
    seal: { id: seal.id, wrappings: wrappingsOf(seal.wrappings) },
    mac: bytes(mac),
    versions: versions.map((version) => ({
      id: version.id,
      number: version.number,
      state: version.state as KeyState,
      compromised: version.compromised,
      createdAt: new Date(version.createdAt),
      activatedAt: date(version.activatedAt),
      retiredAt: date(version.retiredAt),
      destroyedAt: date(version.destroyedAt),
      wrappings: wrappingsOf(version.wrappings),
    })),
  }
}

async function read(path: string): Promise<Document> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT')
      return { format: FORMAT, keyrings: {}, audit: [] }
    throw error
  }
  const document: Document = parse(text, path)
  if (document.format > FORMAT) throw fail('ERR_STATE_NEWER', path, document.format, FORMAT)
  return document
}

function parse(text: string, path: string): Document {
  try {
    const found: unknown = JSON.parse(text)
    if (isDocument(found)) return found
  } catch {
    // The parser's own message quotes the text.
  }
  throw fail('ERR_CONFIG', path, 'it is not a JSON document of keyrings')
}

/** As far as it is read before the seal is checked: what else is wrong there is forged. */
function isDocument(found: unknown): found is Document {
  const { format, keyrings, audit } = (found ?? {}) as { [member in keyof Document]?: unknown }
  if (typeof format !== 'number') return false
  return format > FORMAT || (isRecord(keyrings) && Array.isArray(audit) && Object.values(keyrings).every(isFiledKeyring))
}

function isFiledKeyring(found: unknown): boolean {
  if (!isRecord(found) || !isRecord(found.seal) || !Array.isArray(found.versions) || !isRecord(found.messages)) return false
  const { revision, mac, seal, versions } = found
  if (!Number.isSafeInteger(revision) || typeof mac !== 'string') return false
  return (
    isWrapped(seal) &&
    versions.every((version) => isWrapped(version) && Number.isSafeInteger(version.number) && typeof version.state === 'string')
  )
}

function isWrapped(key: unknown): key is Record<string, unknown> {
  const texts = (wrapping: unknown) =>
    isRecord(wrapping) && ['rootId', 'wrapped', 'addedAt'].every((member) => typeof wrapping[member] === 'string')
  return isRecord(key) && typeof key.id === 'string' && Array.isArray(key.wrappings) && key.wrappings.every(texts)
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

async function write(path: string, document: Document): Promise<void> {
  // Made anew, so that nobody else's file or mode is taken over: what stands there was left by a process that died.
  await rm(`${path}.new`, { force: true })
  const file = await open(`${path}.new`, 'wx', 0o600)
  try {
    await file.writeFile(`${JSON.stringify(document, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
