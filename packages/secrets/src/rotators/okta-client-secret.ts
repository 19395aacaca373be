import { generateKey } from '@keyturn/core'
import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { ask } from '../outside/http.ts'
import { oktaCode } from '../outside/okta-code.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { assertNotRemaining } from './values/remaining.ts'

const id = z.string().regex(/^\w+$/, { error: 'expected an id of Okta' })

export const options = z.strictObject({
  /** The address of the organization: `https://example.okta.com`. */
  org: httpUrl,
  /** The id of the application; its client id, too, unless that is given. */
  app: id,
  clientId: id.optional(),
  /** An API token that may change applications, in a variable. */
  admin: secretRef,
  /** The token endpoint at which a secret is tried: that of the organization unless another authorization server is named. */
  tokenPath: z
    .string()
    .regex(/^\/oauth2\/[\w/-]*v1\/token$/, { error: 'expected a path such as "/oauth2/default/v1/token"' })
    .default('/oauth2/v1/token'),
  /** What the application asks for, where it may log in by itself. */
  scope: z.string().min(1).default('openid'),
})

const secretSchema = z.object({ id: z.string(), status: z.string(), client_secret: z.string().optional(), created: z.string().optional() })
/** A page of a proxy, with any status, is no token. */
const tokenSchema = z.object({ access_token: z.string() })
type Secret = z.infer<typeof secretSchema>

// Active and inactive ones together.
const MOST_SECRETS = 2

/**
 * The client secret of an application in Okta. It is chosen here, so that a call whose answer was lost can be made again. Needs an API
 * token whose user may change applications.
 *
 * There are two secrets at most: an inactive one that is left over must be deleted first. Who may read the application in Okta reads its
 * secrets in clear.
 *
 * Facts: okta-management-openapi-spec, `/api/v1/apps/{appId}/credentials/secrets`.
 */
export default function oktaClientSecret(given: z.infer<typeof options>, world: World): Rotator {
  const { org, app, clientId = app, admin, tokenPath, scope } = given
  const where = `Okta, application ${app}`
  const base = org.replace(/\/+$/, '')
  const inApp = async ({ signal }: Call, path: string, { method = 'GET', body, expect = [] }: Ask = {}) => {
    const headers = { authorization: `SSWS ${await world.read(admin)}`, accept: 'application/json' }
    const url = `${base}/api/v1/apps/${app}/credentials/secrets${path}`
    return ask({ where, url, method, headers, signal, expect, codeOf: oktaCode, ...(body && { body }) })
  }
  const secrets = async (call: Call): Promise<Secret[]> => bodyOf(where, await inApp(call, ''), z.array(secretSchema))
  const find = async (call: Call, value: string | undefined): Promise<Secret | undefined> =>
    value ? (await secrets(call)).find((secret) => secret.client_secret === value) : undefined
  const idOf = async (call: Call, credential: { readonly id: string | null; readonly parts: { readonly clientSecret?: string } }) =>
    credential.id ?? (await find(call, credential.parts.clientSecret))?.id ?? null
  return {
    provider: 'okta',
    parts: { clientId: 'public', clientSecret: 'secret' },
    overlap: true,

    check: (call, current) =>
      findings(async () => {
        const there = await secrets(call)
        const faults: (Finding | false)[] = [
          there.length >= MOST_SECRETS && {
            severity: 'fault',
            sentence: 'the application has two client secrets, as many as it may have. Deactivate and delete the one that is not in use',
          },
          typeof current?.id === 'string' &&
            !there.some((secret) => secret.id === current.id) && {
              severity: 'warning',
              sentence: `the secret in use, ${current.id}, is not in Okta any more`,
            },
        ]
        return faults.filter((one) => one !== false)
      }),

    propose: async () => ({ id: null, parts: { clientId, clientSecret: generateKey({ format: 'chars', length: 64 }) } }),

    create: async (call, proposed) => {
      const clientSecret = proposed?.parts.clientSecret
      if (clientSecret === undefined) throw outside('refused', where, 'there is no proposal')
      const there = await find(call, clientSecret)
      if (there !== undefined) return { id: there.id, parts: { clientId, clientSecret } }
      const made = await inApp(call, '', { method: 'POST', body: { client_secret: clientSecret } })
      return { id: bodyOf(where, made, secretSchema).id, parts: { clientId, clientSecret } }
    },

    verify: async ({ signal }, { parts: { clientSecret = '' } }) => {
      const body = new URLSearchParams({ grant_type: 'client_credentials', scope })
      const login = Buffer.from([clientId, clientSecret].map(encodeURIComponent).join(':')).toString('base64')
      const headers = { authorization: `Basic ${login}`, connection: 'close' }
      const answer = await ask({ where, url: `${base}${tokenPath}`, method: 'POST', headers, body, signal, expect: [400, 401, 403] })
      if (answer.status < 400) bodyOf(where, answer, tokenSchema)
      if (answer.status < 400) return { works: true, sentence: 'a token was issued' }
      const { error } = answer.body as { readonly error?: unknown }
      // The login comes first: an application that may not log in by itself, or not for this, has shown a good secret.
      const isKnown = answer.status === 400 && ['unauthorized_client', 'unsupported_grant_type', 'invalid_scope'].includes(String(error))
      if (isKnown) return { works: true, sentence: `the secret was accepted, and no token issued (${error})` }
      return { works: false, sentence: `the login was refused with ${answer.status}`, later: false }
    },

    disable: async (call, credential) => {
      const known = await idOf(call, credential)
      if (known !== null) await inApp(call, `/${encodeURIComponent(known)}/lifecycle/deactivate`, { method: 'POST', expect: [404] })
    },
    enable: async (call, credential) => {
      const known = await idOf(call, credential)
      const gone =
        known === null ||
        (await inApp(call, `/${encodeURIComponent(known)}/lifecycle/activate`, { method: 'POST', expect: [404] })).status === 404
      if (gone) throw outside('refused', where, 'there is no such secret any more')
    },
    revoke: async (call, credential, successor) => {
      const known = await idOf(call, credential)
      assertNotRemaining(where, known, successor)
      const secret = (await secrets(call)).find((each) => each.id === known)
      if (secret === undefined) return
      // An active one is not deleted, and the only active one not deactivated.
      if (secret.status === 'ACTIVE') await inApp(call, `/${secret.id}/lifecycle/deactivate`, { method: 'POST', expect: [404] })
      await inApp(call, `/${secret.id}`, { method: 'DELETE', expect: [404] })
    },

    adopt: async (call, { clientSecret = '' }) => {
      const secret = await find(call, clientSecret)
      if (secret === undefined) throw outside('refused', where, 'the secret in use is none of this application')
      return { id: secret.id, parts: { clientId, clientSecret } }
    },
  }
}

type Ask = { readonly method?: 'GET' | 'POST' | 'DELETE'; readonly body?: object; readonly expect?: readonly number[] }
