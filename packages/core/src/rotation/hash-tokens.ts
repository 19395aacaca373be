import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import { fail } from '../errors.ts'
import { parseReference, printReference } from '../field/reference.ts'
import type { AuditLog, RunOptions } from '../keyturn.ts'
import { type Evidence, recorded } from './certify.ts'
import type { Database } from './database.ts'
import { DatabaseError } from './database-error.ts'
import { Pace } from './pace.ts'
import type { TokenColumn, TokenCounts } from './token-column.ts'

/** Which column, and how its rows are marked. */
export interface TokenColumnOptions {
  /** The column that says which rows are hashed; unless given, hashes are marked themselves: `sha256:…`. */
  readonly mark?: string
}
export interface HashTokensOptions extends TokenColumnOptions, Pick<RunOptions, 'signal' | 'throttle'> {
  /** When all are hashed, have the database refuse tokens in the clear. */
  readonly refusePlain?: boolean
  /** Told after each batch: how many were hashed so far, and how many there were to hash. */
  readonly onHashed?: (hashed: number, total: number) => void
}

/** What hashing the tokens of a column came to. */
export interface HashedTokens {
  /** `schema.table.column` as it was given. */
  readonly column: string
  /** Tokens that this call hashed. */
  readonly hashed: number
  /** What stands in the column now. */
  readonly now: TokenCounts
  /** The constraint by which the database refuses tokens in the clear; null where it was not asked for, or not all are hashed. */
  readonly constraint: string | null
}

/** What tokens are hashed with. */
export interface TokenWork {
  readonly config: Pick<Config, 'fields'>
  readonly database: Database
  readonly evidence: Evidence
  /** What has been hashed before stands there. */
  readonly audit: Pick<AuditLog, 'list'>
}

/** Passes without progress before it ends with what remains: rows stay locked, are refused, or somebody goes on writing tokens in the clear. */
const patience = 5

/** Looks at a column of tokens. @throws UsageError where they cannot be hashed there */
export async function countTokens(
  work: Pick<TokenWork, 'config' | 'database'>,
  column: string,
  options: TokenColumnOptions = {},
): Promise<TokenCounts> {
  return await (await found(work, column, options)).count()
}

/**
 * Hashes the tokens of a column in place, for good: nothing gives them back, and nobody needs them, since a link is found by the hash of its token.
 *
 * Every row says by itself whether it is hashed, in the same write that hashes it. So a process that dies leaves each row in one of two states, a
 * second call goes on with the rest, and no token is hashed twice. The events `tokens.hash` and `tokens.hashed` stand before and after.
 */
export async function hashTokens(work: TokenWork, column: string, options: HashTokensOptions = {}): Promise<HashedTokens> {
  const { evidence } = work
  const subject = `tokens/${column}`
  return await recorded(evidence, { action: 'tokens.hash', subject }, async () => {
    const tokens = await found(work, column, options)
    await assertSameMark(work, column, options)
    const before = await tokens.count()
    if (before.other > 0) throw fail('ERR_TOKEN_COLUMN', column, `${before.other} of its values look like no tokens`)
    const { actor, log } = evidence
    const marks = { mark: options.mark ?? null }
    await log.record({ actor, action: 'tokens.hash', subject, data: { ...marks, plain: before.plain, hashed: before.hashed } })
    const { hashed, now } = await hashAll(tokens, before, options)
    const constraint = options.refusePlain && now.plain === 0 ? await tokens.refusePlain() : null
    await log.record({ actor, action: 'tokens.hashed', subject, data: { ...marks, values: hashed, plain: now.plain, constraint } })
    return { column, hashed, now, constraint }
  })
}

/**
 * A bare hash looks like a token: what stands there under a mark would be hashed once more without it, and no link be found again.
 *
 * @throws `ERR_TOKEN_COLUMN` for a column that was hashed with another mark, as long as a hash stands there
 */
async function assertSameMark(work: TokenWork, column: string, { mark }: TokenColumnOptions): Promise<void> {
  const { items } = await work.audit.list({ action: 'tokens.hash', limit: 1_000 })
  const marks = items.flatMap(({ subject, data }) => (isSameColumn(subject.slice('tokens/'.length), column) ? [data.mark] : []))
  for (const other of new Set(marks)) {
    if (typeof other !== 'string' || other === mark) continue
    const hashed = await (await found(work, column, { mark: other })).count().then((counts) => counts.hashed)
    if (hashed > 0)
      throw fail('ERR_TOKEN_COLUMN', column, `column "${other}" marks ${hashed} of its hashes, which look like tokens. Give the same mark`)
  }
}

function isSameColumn(of: string, column: string): boolean {
  const [a, b] = [parseReference(of), parseReference(column)]
  return a.table === b.table && a.column === b.column && (a.schema === b.schema || a.schema === null || b.schema === null)
}

async function hashAll(tokens: TokenColumn, before: TokenCounts, options: HashTokensOptions) {
  const { signal, onHashed } = options
  const pace = new Pace(options.throttle)
  let [hashed, idle, now] = [0, 0, before]
  let fewest = before.plain
  while (now.plain > 0 && idle < patience && !signal?.aborted) {
    if (idle > 0) await sleep(Math.min(1_000, 50 * 2 ** idle), undefined, signal === undefined ? {} : { signal }).catch(() => {})
    const parts = await tokens.parts()
    for (let part = 0; part < parts && !signal?.aborted; part++) {
      const began = performance.now()
      const done = await retrying(pace, () => tokens.hash(part))
      hashed += done.hashed
      onHashed?.(hashed, Math.max(hashed, before.plain))
      pace.note(done.hashed, performance.now() - began)
      await pace.rest(signal)
    }
    const left = await tokens.count()
    // Somebody who goes on writing tokens in the clear would keep it for ever: what counts is how few there were at any time.
    idle = left.plain * 2 > fewest ? idle + 1 : 0
    fewest = Math.min(fewest, left.plain)
    now = left
  }
  return { hashed, now }
}

const tries = 12

/** A part can be hashed again, whatever became of it: what is hashed is passed over. */
async function retrying<T>(pace: Pace, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.kind === 'other' || error.kind === 'data' || attempt === tries) throw error
      if (error.kind === 'contention') pace.backOff()
      await sleep(Math.min(5_000, 50 * 2 ** attempt))
    }
  }
}

/** Which field needs a column as it stands, in words: its values, what they are bound to, or their key ids. Null where none does. */
export function fieldNeeding(fields: Config['fields'], column: string): string | null {
  const { schema, table, column: name } = parseReference(column)
  for (const [field, { column: of, bind = [], keyId }] of Object.entries(fields)) {
    const other = parseReference(of)
    if (other.store !== undefined || other.table !== table) continue
    if (other.schema !== schema && other.schema !== null && schema !== null) continue
    if (other.column === name) return `field "${field}" has encrypted values there`
    if (bind.includes(name)) return `field "${field}" is bound to it: its values would not open any more`
    if (keyId === name) return `field "${field}" has its key ids there`
  }
  return null
}

/** @throws `ERR_TOKEN_COLUMN` for a column of values that are encrypted: hashed, they would be lost */
async function found(
  { config: { fields }, database }: Pick<TokenWork, 'config' | 'database'>,
  column: string,
  options: TokenColumnOptions,
): Promise<TokenColumn> {
  const { mark = null } = options
  const location = parseReference(column)
  const { schema, table, column: name, path, store } = location
  if (path !== undefined || store !== undefined) throw fail('ERR_TOKEN_COLUMN', column, 'tokens are hashed in a whole column of a table')
  const needed = fieldNeeding(fields, column)
  if (needed !== null) throw fail('ERR_TOKEN_COLUMN', printReference(location), needed)
  if (mark === name) throw fail('ERR_TOKEN_COLUMN', column, 'it cannot mark itself')
  if (database.tokens === undefined) throw fail('ERR_USAGE', 'this database has no columns of tokens')
  return await database.tokens({ schema, table, column: name, mark })
}
