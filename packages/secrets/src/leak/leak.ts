import type { SecretStatus } from '../secret/inventory.ts'

export type Risk = SecretStatus['risk']

/** What a leak is asked about. */
export type LeakSubject =
  | { readonly kind: 'key'; readonly keyring: string; readonly versions: readonly string[] }
  | { readonly kind: 'secret'; readonly secret: string }

/** Something that whoever has the key or the secret gets at. */
export interface OpenedByLeak {
  readonly what: 'field' | 'secret' | 'tokens'
  /** Of the field, of the secret, or of the keyring that signs. */
  readonly name: string
  readonly risk: Risk
  readonly owner: string | null
  /** Values that stand under the key now; null where nothing is counted. */
  readonly values: number | null
  readonly sentence: string
}

/** What a remedy does, for whoever offers it as something to press. */
export type RemedyAct =
  | { readonly kind: 'rotate-key'; readonly keyring: string }
  /** Of these versions, each once another has taken its place. */
  | { readonly kind: 'retire-key'; readonly keyring: string; readonly versions: readonly string[] }
  /** Without a grace, as one that leaked. */
  | { readonly kind: 'rotate-secret'; readonly secret: string }
  /** A run that is not over is looked at: it asks for something, or is waited for. */
  | { readonly kind: 'run'; readonly secret: string; readonly run: string }

/** What is to be done, in this order. */
export interface Remedy {
  /** A command line; null where no command does it. */
  readonly command: string | null
  readonly why: string
  /** Null where only a person, or only the command, can do it. */
  readonly act: RemedyAct | null
}

/** What somebody else may have, and what ends that. Nothing was changed, and no value was opened. */
export interface Leak {
  readonly subject: LeakSubject
  /** The highest risk first. */
  readonly opens: readonly OpenedByLeak[]
  /** What mends it, the highest risk first. */
  readonly mends: readonly Remedy[]
  /** What is of use to whoever has it, today. Empty when it is over, as far as Keyturn can see. */
  readonly exposed: readonly string[]
  /** What Keyturn cannot see. */
  readonly unknown: readonly string[]
}

const risks: readonly Risk[] = ['critical', 'high', 'medium', 'low']

/** For sorting: the highest risk first, then by name. */
export const byRisk = (one: { readonly risk: Risk; readonly name: string }, other: typeof one): number =>
  risks.indexOf(one.risk) - risks.indexOf(other.risk) || one.name.localeCompare(other.name)
