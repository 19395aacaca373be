import { z } from 'zod'
import { role, time } from '../wire/common.ts'

/**
 * A name of a user or a token. It stands in the audit log as who did something: two that look alike must be one, so letters are those of
 * ASCII. A token that was pasted into the wrong place is refused.
 */
export const newName = z
  .string()
  .regex(
    /^(?!kt_)[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/,
    'a name has up to 64 letters, digits and . _ @ + -, and begins with a letter or digit',
  )

/** A password that is to be checked; its rules are those of `assertPassword`. */
export const password = z.string().min(1).max(256)

/** The name in a log-in: anything, since a wrong one is answered like a wrong password. */
export const anyName = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^\0]*$/, 'it holds U+0000')
export const id = z.strictObject({ id: z.string().regex(/^[\w-]{1,64}$/, 'it is no id') })

/** Who is signed in, or whose token it is. */
export const session = z.object({
  user: z.object({ id: z.string(), name: z.string(), role }).nullable(),
  token: z.object({ id: z.string(), name: z.string() }).nullable(),
  setup: z.boolean(),
})
export const user = z.object({
  id: z.string(),
  name: z.string(),
  role,
  createdAt: time,
  lastSeenAt: time.nullable(),
})
const tokenMembers = {
  id: z.string(),
  name: z.string(),
  role,
  createdAt: time,
  createdBy: z.string(),
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable(),
}
export const token = z.object(tokenMembers)
export const tokenWithSecret = z.object({ ...tokenMembers, secret: z.string() })
