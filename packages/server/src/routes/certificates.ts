import { z } from 'zod'
import { type Route, route } from '../route.ts'
import { listQuery, page, time } from '../wire/common.ts'
import { certificate } from '../wire/rotation.ts'
import { asJson, pageOf } from './answer.ts'

const kept = z.object({ id: z.string(), subject: z.string(), at: time.nullable(), certificate })

export const certificateRoutes: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/certificates',
    role: 'viewer',
    summary: 'The certificates of rotations and retirements, the newest first',
    query: listQuery({}),
    answers: { 200: page(kept) },
    handle: async ({ server, query }) => {
      const all = (await server.keyturn.certificates()).map(({ id, subject, certificate }) => {
        const { issuedAt } = certificate.claim
        return { id, subject, at: typeof issuedAt === 'string' ? issuedAt : null, certificate: asJson(certificate) }
      })
      return pageOf(all, ({ id }) => id, query)
    },
  }),
]
