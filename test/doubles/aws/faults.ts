import type { AwsError } from './aws-error.ts'

/** What a test makes one call, or some, run into. */
export type Fault = {
  /** `iam`, `secretsmanager` …; every service unless given. */
  readonly service?: string
  /** `CreateAccessKey` …; every operation unless given. */
  readonly operation?: string
  /** So many calls; one unless given. */
  readonly times?: number
  /** So many calls are let through before. */
  readonly after?: number
} & (
  | {
      /**
       * - `drop`: carried out, then the connection is reset: the caller does not know what happened
       * - `reset`: the connection is reset before anything is done
       * - `throttle`: refused with the service's own type for too many calls
       * - `fail`: a 5xx with the service's own type, nothing done
       * - `fail-late`: carried out, then a 5xx
       * - `silent`: taken and never answered, nothing done
       * - `silent-late`: carried out, then never answered
       */
      readonly kind: 'drop' | 'reset' | 'throttle' | 'fail' | 'fail-late' | 'silent' | 'silent-late'
    }
  /** This error instead of an answer. */
  | { readonly kind: 'refuse'; readonly error: AwsError }
  /** Carried out at once; the answer comes when the promise resolves. */
  | { readonly kind: 'slow'; readonly until: Promise<unknown> }
)

/** The faults that are switched on. */
export class Faults {
  #list: { readonly fault: Fault; skip: number; left: number }[] = []

  /** The first fault that fits a call is the one it runs into. */
  add(...faults: readonly Fault[]): void {
    this.#list.push(...faults.map((fault) => ({ fault, skip: fault.after ?? 0, left: fault.times ?? 1 })))
  }

  clear(): void {
    this.#list = []
  }

  /** What this call runs into; null for nothing. */
  take(service: string, operation: string): Fault | null {
    const fits = ({ fault, left }: { fault: Fault; left: number }) =>
      left > 0 && (fault.service ?? service) === service && (fault.operation ?? operation) === operation
    for (const entry of this.#list.filter(fits)) {
      if (entry.skip > 0) {
        entry.skip--
        continue
      }
      entry.left--
      return entry.fault
    }
    return null
  }
}
