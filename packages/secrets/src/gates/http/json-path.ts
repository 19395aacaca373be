import { z } from 'zod'

/** A place in a JSON document, as jq writes it: `.components.postgres`, `.checks[0].status`, `.components["ai provider"]`. */
export const jsonPath = z
  .string()
  .regex(/^(\.[\w-]+|\[\d{1,6}\]|\.?\["[^"\\]+"\])+$/, { error: 'expected a path such as ".components.postgres"' })

/** What stands at a place; undefined where there is no such place. */
export function at(document: unknown, path: string): unknown {
  const steps = [...path.matchAll(/\.([\w-]+)|\[(\d+)\]|\.?\["([^"\\]+)"\]/g)].map(
    ([, name, index, quoted]) => name ?? index ?? quoted ?? '',
  )
  return steps.reduce<unknown>(
    (here, step) => (typeof here === 'object' && here !== null && Object.hasOwn(here, step) ? here[step as keyof typeof here] : undefined),
    document,
  )
}

/** A found value in a sentence, where it is a plain word or a number: anything else may be an error with an address in it. */
export const shown = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (typeof value === 'boolean' || value === null || (typeof value === 'number' && Math.abs(value) < 1e6)) return String(value)
  return typeof value === 'string' && /^[A-Za-z][A-Za-z_ -]{0,23}$/.test(value) ? `"${value}"` : 'something else'
}
