import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { askGoogle, googleCode, googleToken, keyFileOf } from '../outside/google-login.ts'
import { ask } from '../outside/http.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { assertNotRemaining } from './values/remaining.ts'

export const options = z.strictObject({
  /** The service account whose key is rotated: `app@project.iam.gserviceaccount.com`. */
  account: z.string().regex(/^[a-z0-9.-]+@[a-z0-9.-]+$/, { error: 'expected the address of a service account' }),
  /** The key file of another service account with the role `roles/iam.serviceAccountKeyAdmin` on this one. */
  admin: secretRef,
  iam: httpUrl.default('https://iam.googleapis.com'),
  token: httpUrl.default('https://oauth2.googleapis.com/token'),
})

const keySchema = z.object({
  name: z.string(),
  validAfterTime: z.string().optional(),
  validBeforeTime: z.string().optional(),
  disabled: z.boolean().optional(),
})
type Key = z.infer<typeof keySchema>
const listSchema = z.object({ keys: z.array(keySchema).default([]) })
/** A page of a proxy, with any status, is no token. */
const tokenSchema = z.object({ access_token: z.string() })
const madeSchema = z.object({ name: z.string(), privateKeyData: z.string() })

// Of keys that a user made, disabled ones included.
const MOST_KEYS = 10
const ACCEPTED_MS = 10_000

/**
 * The key of a service account of Google Cloud, as the text of its key file. Another service account with the role
 * `roles/iam.serviceAccountKeyAdmin` changes it. Where workload identity can be used, no key is needed at all.
 *
 * Keys have no name: after a lost answer a person is asked which new key is whose. Google may take minutes to accept a new key. Tokens that
 * were issued with a key stay valid for an hour at most after it is disabled or deleted.
 *
 * Facts: IAM API v1, projects.serviceAccounts.keys (`googleapis` 178); RFC 7523.
 */
export default function gcpServiceAccountKey({ account, admin, iam, token }: z.infer<typeof options>, world: World): Rotator {
  const where = `Google Cloud, service account ${account}`
  const base = `${iam.replace(/\/+$/, '')}/v1/projects/-/serviceAccounts/${encodeURIComponent(account)}/keys`
  const login = ({ signal }: Call, keyFile: string) => ({ where, keyFile, endpoint: token, now: world.now(), signal })
  const inIam = async (call: Call, path: string, { method = 'GET', body, expect = [] }: Ask = {}) => {
    const headers = { authorization: `Bearer ${await googleToken(login(call, await world.read(admin)))}` }
    const url = `${base}${path}`
    return ask({ where, url, method, headers, signal: call.signal, expect, codeOf: googleCode, ...(body && { body }) })
  }
  const keys = async (call: Call): Promise<Key[]> => bodyOf(where, await inIam(call, '?keyTypes=USER_MANAGED'), listSchema).keys
  const change = async (call: Call, id: string | null, what: 'disable' | 'enable' | null): Promise<number> => {
    if (id === null) throw outside('refused', where, 'the id of the key is not known. End it in the console of Google Cloud')
    const path = `/${encodeURIComponent(id)}`
    const asked: Ask = what === null ? { method: 'DELETE', expect: [404] } : { method: 'POST', body: {}, expect: [404] }
    return (await inIam(call, what === null ? path : `${path}:${what}`, asked)).status
  }
  return {
    provider: 'gcp',
    parts: { keyFile: 'secret', keyId: 'public' },
    overlap: true,
    settleMs: 600_000,

    check: (call, current) =>
      findings(async () => {
        const there = await keys(call)
        const isOwn = keyFileOf(where, await world.read(admin)).client_email === account
        const isGone = typeof current?.id === 'string' && !there.some((key) => idOf(key) === current.id)
        const faults: (Finding | false)[] = [
          there.length >= MOST_KEYS && {
            severity: 'fault',
            sentence: `the account has ${there.length} keys, as many as it may have. Delete one`,
          },
          isOwn && { severity: 'warning', sentence: 'the account changes its own key: if that goes wrong, nobody is left who can mend it' },
          isGone && { severity: 'warning', sentence: `the key in use, ${current?.id}, is not in Google Cloud any more` },
        ]
        return faults.filter((one) => one !== false)
      }),

    list: async (call) =>
      (await keys(call)).map((key) => ({
        id: idOf(key),
        name: null,
        createdAt: key.validAfterTime === undefined ? null : Date.parse(key.validAfterTime),
        used: null,
        enabled: key.disabled !== true && !(Date.parse(key.validBeforeTime ?? '') <= world.now()),
      })),

    create: async (call) => {
      const made = bodyOf(where, await inIam(call, '', { method: 'POST', body: {} }), madeSchema)
      const keyFile = Buffer.from(made.privateKeyData, 'base64').toString('utf8')
      return { id: idOf(made), parts: { keyFile, keyId: idOf(made) } }
    },

    verify: async (call, { parts: { keyFile = '' } }) => {
      const answer = await askGoogle(login(call, keyFile), [400, 401])
      if (answer.status < 400) bodyOf(where, answer, tokenSchema)
      if (answer.status < 400) return { works: true, sentence: 'a token was issued for an assertion signed with the key' }
      // That a key is not known yet and that it has ended are the same answer.
      const code = googleCode(answer.body)
      return {
        works: false,
        sentence: `no token was issued (${code === 'invalid_grant' ? code : answer.status})`,
        later: code === 'invalid_grant',
      }
    },

    disable: async (call, { id }) => {
      await change(call, id, 'disable')
    },
    // Until it is accepted again nobody should be given it.
    enable: async (call, { id, parts: { keyFile } }) => {
      if ((await change(call, id, 'enable')) === 404) throw outside('refused', where, 'there is no such key any more')
      if (keyFile === undefined) return
      const { status } = await askGoogle(login(call, keyFile), [400, 401])
      if (status >= 400) throw outside('busy', where, 'the key is enabled, and not accepted again yet', ACCEPTED_MS)
    },
    revoke: async (call, { id }, successor) => {
      assertNotRemaining(where, id, successor)
      await change(call, id, null)
    },

    adopt: async (call, { keyFile = '' }) => {
      const { private_key_id: id, client_email: email } = keyFileOf(where, keyFile)
      const isThere = email === account && id !== undefined && (await keys(call)).some((key) => idOf(key) === id)
      if (!isThere) throw outside('refused', where, 'the key file in use is not of a key that this account has')
      return { id, parts: { keyFile, keyId: id } }
    },
  }
}

type Ask = { readonly method?: 'GET' | 'POST' | 'DELETE'; readonly body?: object; readonly expect?: readonly number[] }

const idOf = ({ name }: { readonly name: string }): string => name.slice(name.lastIndexOf('/') + 1)
