/** Keys that are remembered: more than stand where a table that shrinks makes SCAN come again. */
const most = 16_384

/**
 * The keys that a walk met last, so that each is met once.
 *
 * Where the server's table shrinks, SCAN gives again what stands at the one place that the walk has come to, and nothing else of what
 * it gave: the bucket of the smaller table in which the buckets lie that it looked at last. So the keys met last are enough.
 */
export class MetKeys {
  readonly #places: { readonly place: string; readonly keys: readonly string[] }[] = []
  readonly #keys = new Set<string>()
  /** Met since the last place. */
  readonly #latest = new Set<string>()

  /** Goes on behind a place that `add` named, as if what was met behind it had not been; from any other one as a walk that begins. */
  goOnFrom(place: string | null): void {
    this.#latest.clear()
    while (this.#places.length > 0 && this.#places.at(-1)?.place !== place) this.#forget(this.#places.pop()?.keys)
  }

  /** Those of some keys that have not been met, each once. */
  fresh(keys: readonly string[]): string[] {
    return [...new Set(keys)].filter((key) => !this.#keys.has(key) && !this.#latest.has(key))
  }

  /** Some keys are met; on the way to which place is not known yet. */
  note(keys: readonly string[]): void {
    for (const key of keys) this.#latest.add(key)
  }

  /** All that was noted stands on the way to this place. */
  add(place: string): void {
    this.#places.push({ place, keys: [...this.#latest] })
    for (const key of this.#latest) this.#keys.add(key)
    this.#latest.clear()
    while (this.#keys.size > most && this.#places.length > 1) this.#forget(this.#places.shift()?.keys)
  }

  #forget(keys: readonly string[] = []): void {
    for (const key of keys) this.#keys.delete(key)
  }
}
