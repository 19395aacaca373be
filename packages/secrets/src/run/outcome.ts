import type { Evidence } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { Facts } from './run.ts'

/** What came of one try of a step. Sentences are kept and shown: they hold no secrets. */
export type Outcome =
  /** `credential`: the new one, sealed and kept in the same transaction. */
  | { readonly is: 'done'; readonly evidence?: Evidence; readonly facts?: Partial<Facts>; readonly credential?: Credential }
  /** Nothing to do here. */
  | { readonly is: 'skipped'; readonly why: string }
  /** Not a failure: it is looked at again at that time. */
  | { readonly is: 'wait'; readonly until: number; readonly note: string; readonly facts?: Partial<Facts> }
  /** Not a failure, and no try: its provider has no room yet. Neither its tries nor its deadline go on meanwhile. */
  | { readonly is: 'limited'; readonly until: number; readonly why: string }
  /** Tried again, after more and more time, until the step has had its time: `withinMs`, or for ever. */
  | { readonly is: 'again'; readonly sentence: string; readonly withinMs?: number; readonly afterMs?: number }
  /** It will not be done. The run goes back, or is paused where there is no way back. */
  | { readonly is: 'failed'; readonly sentence: string }
  /** Somebody must look. */
  | { readonly is: 'pause'; readonly note: string; readonly facts?: Partial<Facts> }
  /** What a person gave is no good: the task is asked again. */
  | { readonly is: 'ask-again'; readonly sentence: string }

/** A call to a part that failed, as the engine sees it. */
export class PartFailure extends Error {
  readonly kind: 'busy' | 'uncertain' | 'refused'
  readonly afterMs: number | undefined
  constructor(kind: PartFailure['kind'], sentence: string, afterMs?: number) {
    super(sentence)
    this.kind = kind
    this.afterMs = afterMs
  }
}

/** A call that its provider has no room for yet: nothing was called. */
export class Limited extends PartFailure {
  readonly until: number
  constructor(why: string, until: number) {
    super('busy', why)
    this.until = until
  }
}
