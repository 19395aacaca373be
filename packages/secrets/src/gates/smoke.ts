import { z } from 'zod'
import type { Call, World } from '../secret/call.ts'
import type { Asked, Gate } from '../secret/gate.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import { referencesIn, render } from '../secret/template.ts'
import { askAndCompare, expectations } from './http/asked.ts'

/** A template such as `Bearer {current.value}`, or a variable. */
const filled = z.union([z.string().max(10_000), secretRef])

export const options = z.strictObject({
  /** What is asked. Its text holds no part of a credential: addresses end up in logs. */
  url: httpUrl,
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
  headers: z.record(z.string().regex(/^[\w-]+$/), filled).optional(),
  /** User and password as HTTP Basic. */
  basic: z.strictObject({ user: filled, password: filled }).optional(),
  body: filled.optional(),
  ...expectations,
})

/**
 * A request with a login that must succeed, such as the new credential at the place where it is used:
 * `{ gate: 'smoke', url: 'https://app/v1/me', headers: { authorization: 'Bearer {current.value}' } }`.
 *
 * Templates name parts of `current` and `previous`; a request that mentions `previous` is passed over where there is none.
 */
export default function smoke(
  { url, method, headers = {}, basic, body, settleMs, ...expected }: z.infer<typeof options>,
  world: World,
): Gate {
  const { origin, pathname } = new URL(url)
  const texts = { ...prefixed('header', headers), ...prefixed('basic', basic ?? {}), ...(body !== undefined && { body }) }
  const templates = Object.values(texts).filter((text) => typeof text === 'string')
  return {
    at: 'deployed',
    ...(settleMs !== undefined && { settleMs }),
    check: async () => {
      for (const text of Object.values(texts)) if (typeof text !== 'string') await world.read(text)
      if (!templates.some((template) => referencesIn(template).some(({ slot }) => slot === 'next'))) return []
      return [{ severity: 'fault', sentence: `the request to ${origin}${pathname} names "next", which nobody uses yet` }]
    },
    look: async (call: Call, { current, previous }: Asked) => {
      if (previous === null && templates.some((template) => referencesIn(template).some(({ slot }) => slot === 'previous')))
        return { works: true, sentence: 'there is no earlier credential to ask with' }
      const fill = async (text: z.infer<typeof filled>): Promise<string> =>
        typeof text === 'string' ? (render({ text }, { current, previous, next: null }).text ?? '') : world.read(text)
      const given: Record<string, string> = {}
      for (const [name, text] of Object.entries(headers)) given[name] = await fill(text)
      if (basic !== undefined) {
        const login = `${await fill(basic.user)}:${await fill(basic.password)}`
        given.authorization = `Basic ${Buffer.from(login).toString('base64')}`
      }
      const sent = body === undefined ? {} : { body: await fill(body) }
      const { good, sentence } = await askAndCompare(
        call,
        { where: `${origin}${pathname}`, url, method, headers: given, ...sent },
        expected,
      )
      return good ? { works: true, sentence } : { works: false, later: true, sentence }
    },
  }
}

const prefixed = <T>(prefix: string, values: { readonly [name: string]: T }): { readonly [name: string]: T } =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, value]))
