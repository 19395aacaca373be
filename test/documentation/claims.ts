import { isDeepStrictEqual } from 'node:util'

/** Checks that stand in examples in place of their comments. */
export const claims = {
  equal(actual: unknown, expected: unknown): void {
    if (!isDeepStrictEqual(actual, expected))
      throw new Error(`the example says ${JSON.stringify(expected)}; it is ${JSON.stringify(actual)}`)
  },
  async throws(call: () => unknown, code: string): Promise<void> {
    const error = await Promise.resolve()
      .then(call)
      .then(
        () => undefined,
        (error: unknown) => error,
      )
    const actual = (error as { code?: unknown } | undefined)?.code
    if (actual !== code) throw new Error(`the example says that it throws ${code}; it is ${String(actual ?? error)}`)
  },
}
