import type { Keyturn, SqlState, Throttle } from '@keyturn/core'
import type { Operations } from './operations.ts'
import { type KeptCensus, keepCensus, keptCensuses } from './state/censuses.ts'

/** Counts of a keyring, added up. */
export interface Counts {
  readonly at: string
  readonly total: number
  readonly current: number
  readonly other: number
  readonly unreadable: number
}

const cacheMs = 1_000

/** The latest census of each keyring. They are taken in the background, one of a keyring at a time, and kept. */
export class Censuses {
  readonly #keyturn: Keyturn
  readonly #state: SqlState
  readonly #operations: Operations
  readonly #throttle: Throttle | undefined
  #kept: { readonly at: number; readonly censuses: Promise<ReadonlyMap<string, KeptCensus>> } | null = null

  constructor({
    keyturn,
    state,
    operations,
    throttle,
  }: { keyturn: Keyturn; state: SqlState; operations: Operations; throttle: Throttle | undefined }) {
    this.#keyturn = keyturn
    this.#state = state
    this.#operations = operations
    this.#throttle = throttle
  }

  /** Those that are kept, by keyring; read at most once a second. */
  all(): Promise<ReadonlyMap<string, KeptCensus>> {
    if (this.#kept !== null && performance.now() - this.#kept.at < cacheMs) return this.#kept.censuses
    const censuses = keptCensuses(this.#state)
    this.#kept = { at: performance.now(), censuses }
    censuses.catch(() => {
      this.#kept = null
    })
    return censuses
  }

  /** Counts, in the background, what was never counted. */
  async takeFirst(actor: string): Promise<void> {
    const kept = await this.all()
    const keyrings = new Set(Object.values(this.#keyturn.config.fields).map(({ keyring }) => keyring))
    for (const keyring of keyrings) if (!kept.has(keyring)) await this.take(keyring, actor)
  }

  /** Counts again, in the background, unless somebody does already. */
  async take(keyring: string, actor: string): Promise<void> {
    const throttle = this.#throttle === undefined ? {} : { throttle: this.#throttle }
    await this.#operations.begin({
      kind: 'census',
      keyring,
      actor,
      run: async (signal) => {
        const census = await this.#keyturn.census({ keyring, signal, ...throttle })
        await keepCensus(this.#state, keyring, census)
        this.#kept = null
        return { rows: census.rows }
      },
    })
  }
}

/** What a census comes to, without what its fields keep as it is. */
export function countsOf({ at, census: { fields } }: KeptCensus): Counts {
  const sum = (count: (field: (typeof fields)[number]) => number) => fields.reduce((total, field) => total + count(field), 0)
  const values = (current: boolean) =>
    sum(({ groups }) => groups.filter((group) => group.current === current).reduce((total, group) => total + group.values, 0))
  return {
    at,
    total: sum(({ total, kept }) => total - kept),
    current: values(true),
    other: values(false),
    unreadable: sum(({ unreadable }) => unreadable),
  }
}
