import { DURATION, durationMs } from '@keyturn/core'
import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { type Answer, ask } from '../outside/http.ts'
import { wholeList } from '../outside/pages.ts'
import { matchesRedacted } from '../outside/redacted.ts'
import type { Call, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { assertNotRemaining } from './values/remaining.ts'

export const options = z.strictObject({
  /** An admin key of the organization (`sk-admin-…`), in a variable. */
  admin: secretRef,
  /** The project, `proj_…`. */
  project: z.string().regex(/^[\w-]+$/, { error: 'expected the id of a project, such as "proj_abc"' }),
  /**
   * The service account that gets a second key; identity, limits and usage stay the same. Unless given, each key has a service account of
   * its own, which ends with it.
   */
  serviceAccount: z
    .string()
    .regex(/^[\w-]+$/, { error: 'expected the id of a service account' })
    .optional(),
  /** When a new key expires by itself, where a policy wants that: longer than the time between rotations and the grace. */
  expires: z.string().regex(new RegExp(DURATION), { error: 'expected a period such as "120d"' }).optional(),
  endpoint: httpUrl.default('https://api.openai.com/v1'),
})

const owner = z.object({ id: z.string(), name: z.string() })
const keySchema = z.object({
  id: z.string(),
  name: z.string().nullable(),
  redacted_value: z.string(),
  created_at: z.number(),
  last_used_at: z.number().nullish(),
  expires_at: z.number().nullish(),
  owner: z.object({ service_account: owner.optional() }),
})
type Key = z.infer<typeof keySchema>
const pageSchema = z.object({ data: z.array(keySchema), has_more: z.boolean(), last_id: z.string().nullish() })
/** A page of a proxy, with any status, is no list. */
const modelsSchema = z.object({ data: z.array(z.unknown()) })
const madeSchema = z.object({ id: z.string(), value: z.string() })

/**
 * A key of a service account in a project of OpenAI. Needs an admin key, which stays the same; a key of a person can be replaced by
 * one of a service account, and is then deleted.
 *
 * The API ends one key of a service account since 2026; where it still refuses that, the service account is deleted, if no other key is on
 * it. When a key was last used is known to the second.
 *
 * Facts: `openai` 7.55.0 (admin/organization/projects), openai-openapi of August 2026.
 */
export default function openaiKey(given: z.infer<typeof options>, world: World): Rotator {
  const { admin, project, serviceAccount, expires, endpoint } = given
  const where = `the API of OpenAI, project "${project}"`
  const base = endpoint.replace(/\/+$/, '')
  const inProject = async (
    { signal }: Call,
    path: string,
    { method = 'GET', body, expect = [] }: { method?: 'GET' | 'POST' | 'DELETE'; body?: object; expect?: readonly number[] } = {},
  ): Promise<Answer> => {
    const headers = { authorization: `Bearer ${await world.read(admin)}` }
    const url = `${base}/organization/projects/${project}/${path}`
    return ask({ where, url, method, headers, signal, expect, ...(body && { body }), codeOf: (answer) => (answer as Refusal).error?.code })
  }
  /** All keys of the project, also of owners that have no access to it just now. */
  const allKeys = (call: Call): Promise<Key[]> =>
    wholeList(where, async (after) => {
      const query = new URLSearchParams({ limit: '100', owner_project_access: 'any', ...(after !== '' && { after }) })
      return bodyOf(where, await inProject(call, `api_keys?${query}`), pageSchema)
    })
  const find = async (call: Call, id: string): Promise<Key | null> => {
    const answer = await inProject(call, `api_keys/${encodeURIComponent(id)}`, { expect: [404] })
    return answer.status === 404 ? null : bodyOf(where, answer, keySchema)
  }
  const lifetime = expires === undefined ? {} : { expires_in_seconds: Math.floor(durationMs(expires) / 1000) }
  const deleteAccount = async (call: Call, id: string) => {
    await inProject(call, `service_accounts/${encodeURIComponent(id)}`, { method: 'DELETE', expect: [404] })
  }
  return {
    provider: 'openai',
    parts: { value: 'secret' },
    overlap: true,

    check: (call, current) =>
      findings(async () => {
        const keys = await allKeys(call)
        if (serviceAccount !== undefined) {
          const account = await inProject(call, `service_accounts/${serviceAccount}`, { expect: [404] })
          if (account.status === 404)
            return [{ severity: 'fault', sentence: `there is no service account "${serviceAccount}" in the project` }]
        }
        const isGone = typeof current?.id === 'string' && !keys.some(({ id }) => id === current.id)
        return isGone ? [{ severity: 'warning', sentence: `the key in use, ${current.id}, is not in the project any more` }] : []
      }),

    list: async (call) =>
      (await allKeys(call)).flatMap(({ id, name, created_at, last_used_at, expires_at, owner: { service_account: account } }) => {
        if (account === undefined || (serviceAccount !== undefined && account.id !== serviceAccount)) return []
        // A key that comes with its account has a name of OpenAI's; the account has ours.
        const named = serviceAccount === undefined ? account.name : name
        const enabled = expires_at == null || expires_at * 1000 > world.now()
        return [{ id, name: named, createdAt: created_at * 1000, used: last_used_at != null, enabled }]
      }),

    create: async (call) => {
      const body = { name: nameOf(call), ...lifetime }
      if (serviceAccount !== undefined) {
        const answer = await inProject(call, `service_accounts/${serviceAccount}/api_keys`, { method: 'POST', body })
        const { id, value } = bodyOf(where, answer, madeSchema)
        return { id, parts: { value } }
      }
      const answer = await inProject(call, 'service_accounts', { method: 'POST', body })
      const { id, value } = bodyOf(where, answer, z.object({ api_key: madeSchema })).api_key
      return { id, parts: { value } }
    },

    verify: async ({ signal }, { parts: { value = '' } }) => {
      const headers = { authorization: `Bearer ${value}`, connection: 'close' }
      const answer = await ask({ where, url: `${base}/models`, headers, signal, expect: [401, 403] })
      if (answer.status < 400) bodyOf(where, answer, modelsSchema)
      if (answer.status < 400) return { works: true, sentence: 'the list of models was given' }
      // OpenAI keeps what it knows of keys for a while.
      return { works: false, sentence: `the list of models was refused with ${answer.status}`, later: answer.status === 401 }
    },

    lastUsed: async (call, { id }) => {
      const key = id === null ? null : await find(call, id)
      if (key === null) return undefined
      return key.last_used_at == null ? null : key.last_used_at * 1000
    },

    revoke: async (call, { id }, successor) => {
      assertNotRemaining(where, id, successor)
      if (id === null) throw outside('refused', where, 'the id of the key is not known. Delete it in the settings of the project')
      const key = await find(call, id)
      if (key === null) return
      const account = key.owner.service_account
      const others = (await allKeys(call)).filter((one) => one.id !== id && one.owner.service_account?.id === account?.id)
      const isAlone = account !== undefined && account.id !== serviceAccount && others.length === 0
      // An account that was made for one key ends with it.
      if (isAlone && OURS.test(account.name)) return await deleteAccount(call, account.id)
      const { status } = await inProject(call, `api_keys/${encodeURIComponent(id)}`, { method: 'DELETE', expect: [400, 404] })
      if (status !== 400) return
      // Until 2026 only the account could be deleted.
      if (!isAlone)
        throw outside('refused', where, 'it does not delete this key, and its service account is still needed. Delete it in the settings')
      await deleteAccount(call, account.id)
    },

    adopt: async (call, { value = '' }) => {
      const found = (await allKeys(call)).filter((key) => matchesRedacted(value, key.redacted_value))
      const [key] = found
      if (key === undefined || found.length > 1)
        throw outside(
          'refused',
          where,
          `${found.length === 0 ? 'no key' : 'more than one key'} of the project looks like the one that is in use`,
        )
      return { id: key.id, parts: { value } } satisfies Credential
    },
  }
}

type Refusal = { readonly error?: { readonly code?: unknown } }

const PREFIX = 'keyturn-'
/** Made for one key by a run. What only begins like that is somebody's. */
const OURS = new RegExp(`^${PREFIX}[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
const nameOf = ({ attempt }: Call): string => `${PREFIX}${attempt}`
