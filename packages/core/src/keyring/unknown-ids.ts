const LEAST_MS = 1_000
const MOST_MS = 60_000
/** So that values with made-up ids cannot fill the memory. */
const MOST_IDS = 1_000

/** Ids that were looked for and not found: not looked for again for 1 s, then 2 s, and so on up to 60 s. */
export class UnknownIds {
  readonly #ids = new Map<string, { readonly until: number; readonly forMs: number }>()

  /** Whether it was looked for shortly before. @param now - milliseconds of a monotonic clock */
  has(id: string, now: number): boolean {
    return (this.#ids.get(id)?.until ?? Number.NEGATIVE_INFINITY) > now
  }

  /** Notes that it was not found. Several that looked at once count as one. */
  add(id: string, now: number): void {
    if (this.has(id, now)) return
    const before = this.#ids.get(id)
    const forMs = before === undefined ? LEAST_MS : Math.min(before.forMs * 2, MOST_MS)
    // Deleted first, so that the order of the map is that of the last addition.
    this.#ids.delete(id)
    this.#ids.set(id, { until: now + forMs, forMs })
    const [oldest] = this.#ids.keys()
    if (this.#ids.size > MOST_IDS && oldest !== undefined) this.#ids.delete(oldest)
  }

  delete(id: string): void {
    this.#ids.delete(id)
  }
}
