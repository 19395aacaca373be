/** Why a token was refused that named a key: its key is retired (or destroyed, or compromised), or nobody knows it. */
export type RefusalReason = 'retired-key' | 'unknown-key'

/** Tokens of one kind under one key. Never a token, a claim, or a key id that somebody made up. */
export interface TokenCount {
  readonly keyring: string
  /** Empty for unknown keys. */
  readonly versionId: string
  readonly what: 'signed' | RefusalReason
  /** Of signed tokens their `typ`: `at+jwt`, `JWT`. Empty for refused ones. */
  readonly kind: string
  /** Of signed tokens when the last of them expires; of refused ones when the last was seen. */
  readonly at: Date
  readonly count: number
}

/** As it is added: tokens that expire at about the same time are counted together, refused ones all. */
export interface TokenTally extends TokenCount {
  readonly bucket: Date
}

/** Keeps the counts of all processes together. */
export interface TokenCounts {
  /** Adds to what is kept. */
  add(counts: readonly TokenTally[]): Promise<void>
  /** Signed tokens that have not expired, and refused ones. */
  list(keyring: string): Promise<TokenCount[]>
}

/** What the application hears of tokens that were refused since it heard the last time. */
export interface TokenEvent {
  readonly event: 'tokens-refused'
  readonly keyring: string
  readonly reason: RefusalReason
  /** The retired key; null for unknown ones, whose names anybody can make up. */
  readonly keyId: string | null
  readonly count: number
}
export type TokenListener = (event: TokenEvent) => void

/** So that made-up kinds cannot fill memory and table. */
const MOST_KINDS = 20
const LEAST_BUCKET_MS = 60_000
const BUCKETS = 60

/**
 * Counts the tokens of this process, and brings the counts to where all processes have theirs.
 *
 * They say what an early revocation ends, and who still comes with what was revoked. What a process has counted since the last time
 * is lost when it is killed: the counts may be too low by what one refresh interval brings.
 */
export class TokenLedger {
  readonly #keyring: string
  readonly #counts: TokenCounts | null
  readonly #listener: TokenListener | undefined
  readonly #kinds = new Set<string>()
  #open = new Map<string, TokenTally>()

  /** @param counts - null where nothing is kept: for keys from the environment, or for looking */
  constructor(keyring: string, counts: TokenCounts | null, listener: TokenListener | undefined) {
    this.#keyring = keyring
    this.#counts = counts
    this.#listener = listener
  }

  signed(versionId: string, kind: string, expiresMs: number, lifetimeMs: number): void {
    if (this.#kinds.size < MOST_KINDS) this.#kinds.add(kind)
    const bucketMs = Math.max(LEAST_BUCKET_MS, lifetimeMs / BUCKETS)
    const bucket = new Date(Math.ceil(expiresMs / bucketMs) * bucketMs)
    this.#add({ versionId, what: 'signed', kind: this.#kinds.has(kind) ? kind : 'other', at: new Date(expiresMs), bucket })
  }

  refused(what: RefusalReason, versionId: string): void {
    this.#add({ versionId, what, kind: '', at: new Date(), bucket: new Date(0) })
  }

  #add(token: Omit<TokenTally, 'keyring' | 'count'>): void {
    this.#merge({ ...token, keyring: this.#keyring, count: 1 })
  }

  #merge(tally: TokenTally): void {
    const name = `${tally.what} ${tally.versionId} ${tally.bucket.getTime()} ${tally.kind}`
    const before = this.#open.get(name)
    const at = before === undefined || before.at < tally.at ? tally.at : before.at
    this.#open.set(name, { ...tally, at, count: (before?.count ?? 0) + tally.count })
  }

  /** Tells the listener, and adds to what is kept. What cannot be added stays for the next time. */
  async flush(): Promise<void> {
    const counts = [...this.#open.values()]
    if (counts.length === 0) return
    const told = counts.filter(({ what }) => what !== 'signed')
    this.#open = new Map()
    try {
      await this.#counts?.add(counts)
    } catch (error) {
      for (const tally of counts) this.#merge(tally)
      throw error
    }
    for (const { what, versionId, count } of told) this.#tell(what as RefusalReason, versionId, count)
  }

  #tell(reason: RefusalReason, versionId: string, count: number): void {
    try {
      const keyId = versionId === '' ? null : versionId
      const result: unknown = this.#listener?.({ event: 'tokens-refused', keyring: this.#keyring, reason, keyId, count })
      // What a listener throws, now or later, is its own affair.
      if (result instanceof Promise) result.catch(() => {})
    } catch {}
  }
}
