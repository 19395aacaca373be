import { type Route, route } from '../route.ts'
import { plan, planBody } from '../wire/rotation.ts'
import { asJson } from './answer.ts'

export const planRoutes: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/plans',
    role: 'operator',
    summary: 'Look at everything that a rotation needs; nothing is changed',
    body: planBody,
    answers: { 200: plan },
    handle: async ({ server, body }) => {
      const { keyring, ...options } = body
      return asJson(await server.keyturn.plan(keyring, defined(options)))
    },
  }),
]

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Without the members that are not given. */
export function defined<T extends object>(options: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>
}
