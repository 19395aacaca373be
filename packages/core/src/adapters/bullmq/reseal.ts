import { isKeyturnError } from '../../errors.ts'
import { findValues, isDocument, splice } from '../../field/document.ts'
import type { Field } from '../../field/field.ts'
import { isSealed, type SealedPart, sealPart, storedOf } from './part.ts'

/** A connected client of ioredis, or of node-redis: the part that we use. */
export type JobRedis = { call(command: string, ...args: string[]): Promise<unknown> } | { sendCommand(args: string[]): Promise<unknown> }

/** What `reseal` found in a queue. */
export interface Resealed {
  /** Sealed parts of jobs, whatever state the jobs are in. */
  readonly sealed: number
  /** Of these, sealed anew under the active key. */
  readonly resealed: number
  /** Left as they are, because somebody changed the job meanwhile: call it again. */
  readonly conflicts: number
  /** Left as they are, because they do not open. */
  readonly failed: readonly { readonly job: string; readonly field: string; readonly reason: string }[]
}

/** Replaces the data of a job that nobody changed. Its time to live and all else of it stay. */
const swap = `if redis.call('HGET', KEYS[1], 'data') == ARGV[1] then redis.call('HSET', KEYS[1], 'data', ARGV[2]) return 1 end return 0`

/** Walks the jobs of a queue and seals again what is not current. @param prefix - `bull:emails:`, what the keys of its jobs begin with */
export async function resealJobs(fieldOf: (name: string) => Field, client: JobRedis, prefix: string): Promise<Resealed> {
  const send = (...args: [string, ...string[]]) => ('call' in client ? client.call(...args) : client.sendCommand(args))
  const [counts, failed] = [{ sealed: 0, resealed: 0, conflicts: 0 }, [] as { job: string; field: string; reason: string }[]]
  const pattern = `${prefix.replaceAll(/[\\*?[\]]/g, '\\$&')}*`
  let cursor = '0'
  // Whatever is there from the first question to the last is found; a key can come twice.
  const seen = new Set<string>()
  do {
    const [next, keys] = (await send('SCAN', cursor, 'MATCH', pattern, 'COUNT', '500', 'TYPE', 'hash')) as [string, string[]]
    cursor = next
    for (const key of keys) {
      if (seen.has(key)) continue
      seen.add(key)
      const text = (await send('HGET', key, 'data')) as string | null
      if (text === null || !text.includes('"keyturn"') || !isDocument(text)) continue
      const job = { key: key.slice(prefix.length), text }
      const { edits, sealed, resealed } = await resealData(fieldOf, job, failed)
      counts.sealed += sealed
      if (edits.length === 0) continue
      const swapped = await send('EVAL', swap, '1', key, text, splice(text, edits))
      if (swapped === 1) counts.resealed += resealed
      else counts.conflicts += resealed
    }
  } while (cursor !== '0')
  return { ...counts, failed }
}

async function resealData(
  fieldOf: (name: string) => Field,
  { key, text }: { readonly key: string; readonly text: string },
  failed: { job: string; field: string; reason: string }[],
) {
  const edits: Parameters<typeof splice>[1][number][] = []
  const parts = sealedParts(JSON.parse(text), [])
  let resealed = 0
  for (const { part, path } of parts) {
    try {
      const next = await sealedAnew(fieldOf(part.field), part)
      if (next === null) continue
      // As text, so that nothing else of the data is printed anew.
      for (const member of ['value', 'keyId'] as const) {
        // Of members that stand twice the last one counts, for whoever parses it.
        const token = findValues(text, [...path, member]).at(-1)
        if (token !== undefined && next[member] !== undefined) edits.push({ start: token.start, end: token.end, value: next[member] })
      }
      resealed++
    } catch (error) {
      if (!isKeyturnError(error)) throw error
      failed.push({ job: key, field: part.field, reason: error.code })
    }
  }
  return { edits: edits.sort((a, b) => a.start - b.start), sealed: parts.length, resealed }
}

/** Null where it is current. */
async function sealedAnew(field: Field, part: SealedPart): Promise<SealedPart | null> {
  const bound = field.canonicalBound(field.bind.map(({ column }) => part.bound[column]))
  const [stored, keyId] = [storedOf(part), part.keyId ?? null]
  const open = () => field.open(stored, bound, keyId)
  let opened: ReturnType<typeof open>
  try {
    opened = open()
  } catch (error) {
    if (!isKeyturnError(error, 'ERR_KEY_NOT_LOADED')) throw error
    await field.reload(stored, keyId)
    opened = open()
  }
  return opened.current ? null : await sealPart(field, opened.plaintext, part.bound)
}

function sealedParts(data: unknown, path: readonly string[]): { readonly part: SealedPart; readonly path: readonly string[] }[] {
  if (typeof data !== 'object' || data === null) return []
  if (isSealed(data)) return [{ part: data, path }]
  return Object.entries(data).flatMap(([name, each]) => sealedParts(each, [...path, name]))
}
