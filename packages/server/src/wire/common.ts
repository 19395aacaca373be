import { z } from 'zod'

/** A permanent name of the configuration. */
export const name = z.string().min(1).max(128)
/** An id, as Keyturn makes or shows them. */
export const id = z.string().min(1).max(200)
/** A time, ISO in UTC. */
export const time = z.string()
export const count = z.number()
export const role = z.enum(['viewer', 'operator', 'admin'])

/** RFC 9457, with the code of the error and the member of the request that it is about. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  code: z.string(),
  detail: z.string(),
  field: z.string().optional(),
})

/** Where a list goes on. */
const paging = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  after: z.string().min(1).max(4096).optional(),
}
/** The query of a list: its place, and what it is filtered by. */
export const listQuery = <S extends z.core.$ZodLooseShape>(filters: S) => z.strictObject({ ...paging, ...filters })
/** A page of a list. */
export const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next: z.string().nullable() })

/** A body in which nothing is said. */
export const nothing = z.strictObject({}).default({})
