import type { Postgres } from './postgres.ts'

/** One thing that is measured. Its result is a ratio within one run: absolute times belong to a machine. */
export interface Benchmark {
  readonly name: string
  /** What is compared with what, in a sentence. */
  readonly about: string
  /** Rows unless `--rows` says otherwise. */
  readonly rows: number
  run(bench: Bench): Promise<Outcome>
}

/** What a benchmark is run with. */
export interface Bench {
  readonly rows: number
  /** How often each side is measured, in turns; the median counts. */
  readonly rounds: number
  /** Started when it is first asked for. */
  readonly postgres: () => Promise<Postgres>
  /** Says what is being done, for whoever waits. */
  readonly say: (line: string) => void
}

/** What a benchmark found. */
export interface Outcome {
  readonly ratios: readonly Ratio[]
  /** Absolute numbers; the unit ends the name. */
  readonly measured: Readonly<Record<string, number>>
}
export interface Ratio {
  readonly name: string
  readonly value: number
  /** What it must not go beyond; without one it is for information. */
  readonly limit?: { readonly atMost: number } | { readonly atLeast: number }
}

/** Whether a ratio keeps its limit; null where it has none. */
export function passes({ value, limit }: Ratio): boolean | null {
  if (limit === undefined) return null
  return 'atMost' in limit ? value <= limit.atMost : value >= limit.atLeast
}
