import { fail } from '@keyturn/core'
import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { type Answer, ask } from '../outside/http.ts'
import { oktaCode } from '../outside/okta-code.ts'
import type { Call, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { assertNotRemaining } from './values/remaining.ts'

export const options = z.strictObject({
  /** The address of the organization: `https://example.okta.com`. */
  org: httpUrl,
  /** A token that may read and end API tokens, in a variable. Without one each token ends itself. */
  admin: secretRef.optional(),
  /** The user whose token it must be, by login: a token has the rights of its user, and ends with that user. */
  login: z.string().min(1).max(100).optional(),
})

const tokensSchema = z.array(z.object({ id: z.string(), name: z.string() }))
const userSchema = z.object({ profile: z.object({ login: z.string() }) })
const PATTERN = '00[\\w-]{20,200}'

/**
 * An API token (SSWS) of Okta. No API makes one: a person makes it in the admin console, signed in as the user whose token it is to be, and
 * pastes it. The old one is ended by the API: by its id where the configuration names a token that may do so, else by itself.
 *
 * A token that nobody uses for thirty days ends by itself.
 *
 * Facts: okta-management-openapi-spec, `/api/v1/api-tokens`, `/api/v1/users/me`.
 */
export default function oktaApiToken({ org, admin, login }: z.infer<typeof options>, world: World): Rotator {
  const where = `Okta, ${new URL(org).host}`
  const base = org.replace(/\/+$/, '')
  const as = async (token: string, { signal }: Call, path: string, { method = 'GET', expect = [] }: Ask = {}): Promise<Answer> => {
    const headers = { authorization: `SSWS ${token}`, accept: 'application/json', connection: 'close' }
    return ask({ where, url: `${base}/api/v1/${path}`, method, headers, signal, expect, codeOf: oktaCode })
  }
  /** Whose token it is. A page of a proxy, with any status, says that of none. */
  const whose = async (token: string, call: Call): Promise<{ readonly status: number; readonly login: string | null }> => {
    const answer = await as(token, call, 'users/me', { expect: [401, 403] })
    return { status: answer.status, login: answer.status < 400 ? bodyOf(where, answer, userSchema).profile.login : null }
  }
  const tokens = async (call: Call, ref: NonNullable<typeof admin>) =>
    bodyOf(where, await as(await world.read(ref), call, 'api-tokens'), tokensSchema)
  const consolePage = `${base.replace(/^(https:\/\/[^.]+)\.(okta|oktapreview|okta-emea)\.com$/, '$1-admin.$2.com')}/admin/access/api/tokens`
  return {
    provider: 'okta',
    parts: { value: 'secret' },
    overlap: true,

    check: (call, current) =>
      findings(async () => {
        if (admin === undefined) return []
        const there = await tokens(call, admin)
        if (current !== null && 'env' in admin && (await world.read(admin)) === current.parts.value)
          return [{ severity: 'fault', sentence: 'the admin token is the one that is rotated: nothing could be asked after it has ended' }]
        const isGone = typeof current?.id === 'string' && !there.some(({ id }) => id === current.id)
        return isGone ? [{ severity: 'warning', sentence: `the token in use, ${current.id}, is not in Okta any more` }] : []
      }),

    task: async (call) => ({
      title: `Make an API token in the admin console of Okta${login === undefined ? '' : `, signed in as ${login}`}`,
      instructions: [
        `1. Sign in ${login === undefined ? 'as the user whose token it is to be, not as yourself' : `as \`${login}\``}: a token has the rights of its user.`,
        `2. Open ${consolePage} (**Security > API > Tokens**) and choose **Create token**.`,
        `3. Give it the name \`${nameOf(call)}\`.`,
        '4. Paste the token here. It is shown only once; keep it nowhere else.',
        '',
        'The old token goes on working until the new one is in use everywhere. Do not revoke it.',
      ].join('\n'),
      url: consolePage,
      paste: [{ part: 'value', label: 'API token', pattern: PATTERN }],
    }),

    create: async (call, pasted, current) => {
      const value = pasted?.parts.value?.trim() ?? ''
      if (!new RegExp(`^${PATTERN}$`).test(value)) throw fail('ERR_PROVIDED', 'value', 'an API token of Okta begins with 00')
      if (value === current?.parts.value) throw fail('ERR_PROVIDED', 'value', 'it is the token that is in use')
      const me = await whose(value, call)
      if (me.status >= 400) throw fail('ERR_PROVIDED', 'value', 'Okta does not accept it')
      const isOther = login !== undefined && me.login !== login
      if (isOther) throw fail('ERR_PROVIDED', 'value', `it is not a token of ${login}`)
      if (admin === undefined) return { id: null, parts: { value } }
      // The list shows nothing of a token but its name.
      const named = (await tokens(call, admin)).filter(({ name }) => name === nameOf(call))
      const [token] = named
      if (token === undefined || named.length > 1)
        throw fail(
          'ERR_PROVIDED',
          'value',
          `${named.length === 0 ? 'no token is' : 'more than one token is'} named ${nameOf(call)}, so that it is not clear which one it is`,
        )
      return { id: token.id, parts: { value } }
    },

    verify: async (call, { parts: { value = '' } }) => {
      const { status } = await whose(value, call)
      if (status < 400) return { works: true, sentence: 'Okta said whose token it is' }
      return { works: false, sentence: `Okta refused to say whose token it is, with ${status}`, later: false }
    },

    revoke: async (call, { id, parts: { value } }, successor) => {
      assertNotRemaining(where, id, successor)
      if (value !== undefined && value === successor?.parts.value) throw outside('refused', where, 'it is the token that remains')
      if (id !== null && admin !== undefined) {
        await as(await world.read(admin), call, `api-tokens/${encodeURIComponent(id)}`, { method: 'DELETE', expect: [404] })
        return
      }
      if (value === undefined)
        throw outside('refused', where, 'neither the id nor the value of the token is known. End it in the admin console')
      // What is refused as a login has ended already.
      await as(value, call, 'api-tokens/current', { method: 'DELETE', expect: [401, 404] })
    },

    // The list shows nothing by which a value can be told: it will end itself.
    adopt: async (call, { value = '' }) => {
      const { status } = await whose(value, call)
      if (status >= 400) throw outside('refused', where, `the token in use was refused with ${status}`)
      return { id: null, parts: { value } }
    },
  }
}

type Ask = { readonly method?: 'GET' | 'DELETE'; readonly expect?: readonly number[] }

const nameOf = ({ attempt }: Call): string => `keyturn-${attempt}`
