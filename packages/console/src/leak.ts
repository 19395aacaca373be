import type { Risk } from './secret.ts'

/** What a leak is asked about, as the address of the page holds it: `app` or `app/aaaqeaye`; or a secret, and since when others knew it. */
export interface LeakAsked {
  readonly key?: string
  readonly secret?: string
  /** ISO, in UTC. */
  readonly since?: string
}

/** What leaked. */
export type LeakSubject =
  | { readonly kind: 'key'; readonly keyring: string; readonly versions: readonly string[] }
  | { readonly kind: 'secret'; readonly secret: string }

/** Something that whoever has it gets at. */
export interface Opened {
  readonly what: 'field' | 'secret' | 'tokens'
  readonly name: string
  readonly risk: Risk
  readonly owner: string | null
  /** Null where nothing is counted, or was not counted yet. */
  readonly values: number | null
  readonly sentence: string
}

/** What this console does of a remedy. */
export type RemedyAct =
  | { readonly kind: 'rotate-key'; readonly keyring: string }
  | { readonly kind: 'retire-key'; readonly keyring: string; readonly versions: readonly string[] }
  | { readonly kind: 'rotate-secret'; readonly secret: string }
  | { readonly kind: 'run'; readonly secret: string; readonly run: string }

export interface Remedy {
  readonly command: string | null
  readonly why: string
  readonly act: RemedyAct | null
}

/** What somebody else may have, what mends it, and what is of use to them today. */
export interface Leak {
  readonly subject: LeakSubject
  readonly opens: readonly Opened[]
  readonly mends: readonly Remedy[]
  readonly exposed: readonly string[]
  readonly unknown: readonly string[]
  /** When the values were counted; null: never, or nothing is counted. */
  readonly countedAt: Date | null
  readonly counting: boolean
}
