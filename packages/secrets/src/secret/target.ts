import type { Call, Evidence, Finding } from './call.ts'

/** What must take the new values: machines, a deployment, a program. */
export interface Target {
  /** Whose limits its calls count against, as for a rotator. */
  readonly provider?: string
  /** The longest that one call may take, in milliseconds; 600,000 unless given: it waits until all have taken them. */
  readonly callMs?: number
  check(call: Call): Promise<readonly Finding[]>
  /**
   * Has every consumer take what the stores hold, and returns when all of them have. Repeating is harmless.
   *
   * @param versions - what each store returned, by its driver: `{ fly: '7' }`
   * @returns what was seen, as evidence
   */
  deploy(call: Call, versions: { readonly [store: string]: string | null }): Promise<Evidence>
}
