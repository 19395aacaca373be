import { fail } from '@keyturn/core'
import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { type Answer, ask } from '../outside/http.ts'
import { wholeList } from '../outside/pages.ts'
import { matchesRedacted } from '../outside/redacted.ts'
import type { Call, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { assertNotRemaining } from './values/remaining.ts'

export const options = z.strictObject({
  /** An Admin API key (`sk-ant-admin…`), in a variable. Without one a person must also end the old key. */
  admin: secretRef.optional(),
  /** The id of the workspace in which keys must be, `wrkspc_…`. */
  workspace: z.string().regex(/^\w+$/, { error: 'expected the id of a workspace, such as "wrkspc_01abc"' }).optional(),
  /** Where the person makes the key. */
  console: httpUrl.default('https://platform.claude.com/settings/keys'),
  endpoint: httpUrl.default('https://api.anthropic.com'),
})

const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  partial_key_hint: z.string().nullish(),
  workspace_id: z.string().nullish(),
  scope: z.object({ workspace_id: z.string().optional() }).nullish(),
})
type Key = z.infer<typeof keySchema>
const pageSchema = z.object({ data: z.array(keySchema), has_more: z.boolean(), last_id: z.string().nullish() })
/** A page of a proxy, with any status, is no list. */
const modelsSchema = z.object({ data: z.array(z.unknown()) })

const VERSION = '2023-06-01'
const PATTERN = 'sk-ant-api\\d\\d-[\\w-]{20,300}'

/**
 * An API key of Anthropic. No API makes one: a person makes it in the console and pastes it. The rest is done by itself with an Admin API
 * key: the new key is found by what the list shows of it, the old one is switched off, which can be taken back, and archived, which cannot.
 *
 * To switch a key on again fails where the organization or the workspace has all the active keys it may have.
 *
 * Facts: Admin API, `/v1/organizations/api_keys`; `@anthropic-ai/sdk` 1.11.0.
 */
export default function anthropicKey(given: z.infer<typeof options>, world: World): Rotator {
  const { admin, workspace } = given
  const where = 'the API of Anthropic'
  const base = given.endpoint.replace(/\/+$/, '')
  const asAdmin = async ({ signal }: Call, path: string, { body, expect = [] }: { body?: object; expect?: readonly number[] } = {}) => {
    if (admin === undefined) throw outside('refused', where, 'the configuration names no Admin API key')
    const headers = { 'x-api-key': await world.read(admin), 'anthropic-version': VERSION }
    const url = `${base}/v1/organizations/api_keys${path}`
    return ask({ where, url, method: body === undefined ? 'GET' : 'POST', headers, signal, expect, codeOf, ...(body && { body }) })
  }
  const allKeys = (call: Call): Promise<Key[]> =>
    wholeList(where, async (after) => {
      const query = new URLSearchParams({ limit: '100', ...(after !== '' && { after_id: after }) })
      return bodyOf(where, await asAdmin(call, `?${query}`), pageSchema)
    })
  /** The key that a value is: by what is shown of it, and where that fits several, by its name. */
  const find = async (call: Call, value: string, name: string): Promise<Key | null> => {
    const alike = (await allKeys(call)).filter(({ partial_key_hint: hint }) => hint && matchesRedacted(value, hint))
    const found = alike.length > 1 ? alike.filter((key) => key.name === name) : alike
    return found.length === 1 ? (found[0] ?? null) : null
  }
  const askModels = async ({ signal }: Call, value: string): Promise<Answer> => {
    const headers = { 'x-api-key': value, 'anthropic-version': VERSION, connection: 'close' }
    const answer = await ask({ where, url: `${base}/v1/models?limit=1`, headers, signal, expect: [401, 403], codeOf })
    if (answer.status < 400) bodyOf(where, answer, modelsSchema)
    return answer
  }
  const setStatus = async (call: Call, { id, parts }: { id: string | null; parts: { readonly value?: string } }, status: string) => {
    const known = id ?? (parts.value === undefined ? null : ((await find(call, parts.value, nameOf(call)))?.id ?? null))
    if (known === null) throw outside('refused', where, 'the id of the key is not known. End it in the console')
    return asAdmin(call, `/${encodeURIComponent(known)}`, { body: { status }, expect: [404] })
  }
  const rotator: Rotator = {
    provider: 'anthropic',
    parts: { value: 'secret' },
    overlap: true,

    check: (call, current) =>
      findings(async () => {
        if (admin === undefined) return [{ severity: 'warning', sentence: 'without an Admin API key a person must end the old key, too' }]
        const there = await allKeys(call)
        const isGone = typeof current?.id === 'string' && !there.some(({ id }) => id === current.id)
        return isGone ? [{ severity: 'warning', sentence: `the key in use, ${current.id}, is not in the organization` }] : []
      }),

    task: async (call) => ({
      title: `Make an API key in the Anthropic console${workspace === undefined ? '' : `, in the workspace ${workspace}`}`,
      instructions: [
        `1. Open ${given.console}${workspace === undefined ? '' : ` and choose the workspace \`${workspace}\``}.`,
        `2. Choose **Create Key** and give it the name \`${nameOf(call)}\`.`,
        '3. Paste the key here. It is shown only once; keep it nowhere else.',
        '',
        'The old key goes on working until the new one is in use everywhere. Do not end it.',
      ].join('\n'),
      url: given.console,
      paste: [{ part: 'value', label: 'API key', pattern: PATTERN }],
    }),

    create: async (call, pasted, current) => {
      const value = pasted?.parts.value?.trim() ?? ''
      if (!new RegExp(`^${PATTERN}$`).test(value)) throw fail('ERR_PROVIDED', 'value', 'an API key begins with sk-ant-api')
      if (value === current?.parts.value) throw fail('ERR_PROVIDED', 'value', 'it is the key that is in use')
      if ((await askModels(call, value)).status >= 400) throw fail('ERR_PROVIDED', 'value', 'Anthropic does not accept it')
      if (admin === undefined) return { id: null, parts: { value } }
      const key = await find(call, value, nameOf(call))
      if (key === null)
        throw fail(
          'ERR_PROVIDED',
          'value',
          `the organization of the Admin API key has no such key, or several that look like it and none named ${nameOf(call)}`,
        )
      if (key.id === current?.id) throw fail('ERR_PROVIDED', 'value', 'it is the key that is in use')
      const isIn = key.scope?.workspace_id ?? key.workspace_id ?? null
      if (workspace !== undefined && isIn !== workspace) throw fail('ERR_PROVIDED', 'value', `it is not of the workspace ${workspace}`)
      return { id: key.id, parts: { value } }
    },

    verify: async (call, { parts: { value = '' } }) => {
      const { status } = await askModels(call, value)
      if (status < 400) return { works: true, sentence: 'the list of models was given' }
      // 403 is said of a place or a right as well, and not only of a key that has ended.
      return { works: false, sentence: `the list of models was refused with ${status}`, later: status === 403 }
    },

    // Without an Admin API key a person ends it, and this is asked only for a new key that is given up.
    revoke: async (call, credential, successor) => {
      assertNotRemaining(where, credential.id, successor)
      if (admin !== undefined) {
        await setStatus(call, credential, 'archived')
        return
      }
      const { value } = credential.parts
      if (value !== undefined && (await askModels(call, value)).status !== 401)
        throw outside('refused', where, `only a person can end the key ${nameOf(call)}: delete it in the console`)
    },
  }
  if (admin === undefined) {
    const revocation: NonNullable<Rotator['revocation']> = async () => ({
      title: 'Delete the old API key in the Anthropic console',
      instructions: [`1. Open ${given.console}.`, '2. Delete the key that was in use until now: the older one of its name.'].join('\n'),
      url: given.console,
      paste: [],
    })
    return { ...rotator, revocation }
  }
  return {
    ...rotator,
    disable: async (call, credential) => {
      await setStatus(call, credential, 'inactive')
    },
    enable: async (call, credential) => {
      const { status } = await setStatus(call, credential, 'active')
      if (status === 404) throw outside('refused', where, 'there is no such key any more')
    },
    adopt: async (call, { value = '' }) => {
      const key = await find(call, value, '')
      if (key === null) throw outside('refused', where, 'no key of the organization, or more than one, looks like the one in use')
      return { id: key.id, parts: { value } }
    },
  }
}

const nameOf = ({ attempt }: Call): string => `keyturn-${attempt}`
const codeOf = (body: unknown): unknown => {
  const { error } = body as { readonly error?: { readonly type?: unknown; readonly details?: { readonly error_code?: unknown } } }
  return error?.details?.error_code ?? error?.type
}
