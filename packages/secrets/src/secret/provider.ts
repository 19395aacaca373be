import { createHash } from 'node:crypto'
import { fail, nearest } from '@keyturn/core'
import { z } from 'zod'
import { faultOf } from './load-part.ts'

/** How much of a provider may be asked of. */
export interface Limit {
  /** Calls at the same time. */
  readonly atOnce: number
  /** Calls in any 60 seconds. */
  readonly perMinute: number
}

/** Whom a part asks, and as whom. All parts of the same key share one limit, in every process on the same state. */
export interface Provider {
  readonly name: string
  /** The name, and a digest of the addresses and logins that the part was configured with: another account has limits of its own. */
  readonly key: string
  readonly limit: Limit
}

/** How much is asked of a provider unless the configuration says otherwise: less than any that we know of refuses. */
export const defaultLimit: Limit = { atOnce: 4, perMinute: 120 }

/** Limits by the names of providers, or of parts: `{ aws: { atOnce: 2, perMinute: 30 } }`. What is left out is as by default. */
export interface LimitsConfig {
  readonly [provider: string]: { readonly atOnce?: number; readonly perMinute?: number }
}

const limitSchema = z.strictObject({
  atOnce: z.int({ error: 'expected a whole number from 1' }).min(1, { error: 'expected a whole number from 1' }).optional(),
  perMinute: z.int({ error: 'expected a whole number from 1' }).min(1, { error: 'expected a whole number from 1' }).optional(),
})

/** The limits of a configuration. */
export class ProviderLimits {
  readonly #limits = new Map<string, Limit>()
  readonly #asked = new Set<string>()

  /** @throws `ERR_CONFIG` with the place */
  constructor(given: { readonly [provider: string]: object } = {}) {
    for (const [name, limit] of Object.entries(given)) {
      const { success, data, error } = limitSchema.safeParse(limit)
      if (!success) throw faultOf(`limits.${name}`, error)
      const { atOnce = defaultLimit.atOnce, perMinute = defaultLimit.perMinute } = data
      this.#limits.set(name, { atOnce, perMinute })
    }
  }

  /**
   * The provider of a part; null where nothing limits it: it names none, and the configuration has no limit for it.
   *
   * @param name - of the part, by which a configuration may limit it as well
   * @param options - as they are configured: names of variables, no values
   */
  of(name: string, { provider }: { readonly provider?: string }, options: object): Provider | null {
    const asked = provider ?? name
    this.#asked.add(asked)
    const limit = this.#limits.get(asked) ?? (provider === undefined ? undefined : defaultLimit)
    return limit === undefined ? null : { name: asked, key: `${asked} ${accountOf(options)}`, limit }
  }

  /** @throws `ERR_CONFIG` for a limit of what no part asks: a mistyped one would limit nothing */
  assertUsed(): void {
    for (const name of this.#limits.keys())
      if (!this.#asked.has(name))
        throw fail('ERR_CONFIG', `limits.${name}`, `no secret asks a provider of this name${nearest(name, [...this.#asked])}`)
  }
}

/** Where a part asks, and as whom, as a digest: the same in whatever order it is written. */
export function accountOf(options: object): string {
  const account = JSON.stringify(accountIn(options))
  return createHash('sha256').update(account).digest('hex').slice(0, 12)
}

/** What says where a part asks, and as whom: addresses, the region, and the names of variables and files. */
function accountIn(value: unknown, name = ''): unknown[] {
  if (typeof value === 'string') return name === 'region' || /^https?:\/\//.test(value) ? [value] : []
  if (typeof value !== 'object' || value === null) return []
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1))
  if (entries.length === 1 && /^(env|file)$/.test(entries[0]?.[0] ?? '')) return [entries[0]]
  return entries.flatMap(([option, inner]) => accountIn(inner, option))
}
