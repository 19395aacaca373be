import type { z } from 'zod'
import { outside } from './failure.ts'
import type { Answer } from './http.ts'

/**
 * The body of an answer, in the form that its issuer documents.
 *
 * @throws uncertain where it has another form: something was answered, and nobody knows what was done
 */
export function bodyOf<T>(where: string, { body }: Answer, schema: z.ZodType<T>): T {
  const { success, data } = schema.safeParse(body)
  if (!success) throw outside('uncertain', where, 'the answer has not the expected form')
  return data
}
