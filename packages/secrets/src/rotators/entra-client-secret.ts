import { DURATION, durationMs } from '@keyturn/core'
import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { askEntra, entraCode, entraToken, tokenOf } from '../outside/entra-login.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { type Answer, ask } from '../outside/http.ts'
import type { Call, Finding, Verdict, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Rotator } from '../secret/rotator.ts'
import { assertNotRemaining } from './values/remaining.ts'

const uuid = z.uuid({ error: 'expected a UUID' })

export const options = z.strictObject({
  tenant: z.string().regex(/^[\w.-]+$/, { error: 'expected the id or the domain of a tenant' }),
  /** The client id of the application whose secret is rotated: not its object id. */
  clientId: uuid,
  /** Who changes it: an application with the right `Application.ReadWrite.OwnedBy`, and owner of the other one. */
  admin: z.strictObject({ clientId: uuid, clientSecret: secretRef }),
  /** What the application asks tokens for, to try a secret: `api://app/.default`; Graph unless given. */
  scope: z
    .string()
    .regex(/^\S+\/\.default$/, { error: 'expected a scope that ends with "/.default"' })
    .optional(),
  /** An API that takes such a token: asked with GET when a secret is tried. */
  api: httpUrl.optional(),
  /** When a new secret expires: longer than the time between rotations, the grace and a delay. */
  expires: z.string().regex(new RegExp(DURATION), { error: 'expected a period such as "400d"' }).default('730d'),
  login: httpUrl.default('https://login.microsoftonline.com'),
  graph: httpUrl.default('https://graph.microsoft.com'),
})

const credentialSchema = z.object({
  keyId: z.string(),
  displayName: z.string().nullish(),
  hint: z.string().nullish(),
  startDateTime: z.string().nullish(),
  endDateTime: z.string().nullish(),
})
type Listed = z.infer<typeof credentialSchema>
const applicationSchema = z.object({ passwordCredentials: z.array(credentialSchema) })
const madeSchema = credentialSchema.extend({ secretText: z.string().min(1) })

// A login that succeeds proves one replica of the token endpoint; others may learn of the secret later.
const LOGINS = 3
// AADSTS codes: not known, or not known yet; expired.
const UNKNOWN = 7000215
const EXPIRED = 7000222

/**
 * The client secret of an application in Entra ID. Another application with the right `Application.ReadWrite.OwnedBy` changes it through
 * Graph, so that a rotation cannot lock itself out.
 *
 * A new secret is known to all token endpoints after seconds, sometimes minutes: it is tried three times in a row. Tokens that were issued
 * with a secret stay valid after it is removed, for an hour or so.
 *
 * Facts: Graph v1.0, application: addPassword, removePassword; error codes AADSTS7000215 and 7000222.
 */
export default function entraClientSecret(given: z.infer<typeof options>, world: World): Rotator {
  const { tenant, clientId, admin, api, expires, login: authority } = given
  const graph = given.graph.replace(/\/+$/, '')
  const scope = given.scope ?? `${graph}/.default`
  const where = `Entra, application ${clientId}`
  const inGraph = async (
    { signal }: Call,
    { path = '', body, expect = [] }: { path?: string; body?: object; expect?: readonly number[] },
  ) => {
    const login = { where, authority, tenant, clientId: admin.clientId, scope: `${graph}/.default`, signal }
    const token = await entraToken({ ...login, clientSecret: await world.read(admin.clientSecret) })
    // By the client id: the object id, which looks the same, would have to be looked up.
    const url = `${graph}/v1.0/applications(appId='${clientId}')${path}`
    const method = body === undefined ? 'GET' : 'POST'
    const headers = { authorization: `Bearer ${token}` }
    return ask({ where, url, method, headers, signal, expect, ...(body && { body }), codeOf: (answer) => (answer as Refusal).error?.code })
  }
  const secrets = async (call: Call): Promise<Listed[]> =>
    bodyOf(where, await inGraph(call, { path: '?$select=id,appId,passwordCredentials' }), applicationSchema).passwordCredentials
  const logIn = ({ signal }: Call, clientSecret: string): Promise<Answer> =>
    askEntra({ where, authority, tenant, clientId, clientSecret, scope, signal }, [400, 401])
  const askApi = async ({ signal }: Call, url: string, token: string): Promise<Verdict> => {
    const headers = { authorization: `Bearer ${token}`, connection: 'close' }
    const { status } = await ask({ where: 'the protected API', url, headers, signal, expect: [401, 403] })
    return status < 400
      ? { works: true, sentence: `a token was issued ${LOGINS} times in a row, and the API took it` }
      : { works: false, sentence: `a token was issued, but the API refused it with ${status}`, later: false }
  }
  return {
    provider: 'entra',
    parts: { clientId: 'public', keyId: 'public', clientSecret: 'secret' },
    overlap: true,
    settleMs: 300_000,

    check: (call, current) =>
      findings(async () => {
        const there = await secrets(call)
        const faults: (Finding | false)[] = [
          admin.clientId === clientId &&
            warning('the application changes its own secret: if that goes wrong, nobody is left who can mend it'),
          isGone(there, current?.id) && warning(`the secret in use, ${current?.id}, is not in Entra any more`),
        ]
        return faults.filter((one) => one !== false)
      }),

    list: async (call) =>
      (await secrets(call)).map(({ keyId, displayName, startDateTime, endDateTime }) => ({
        id: keyId,
        name: displayName ?? null,
        createdAt: startDateTime ? Date.parse(startDateTime) : null,
        used: null,
        enabled: !endDateTime || Date.parse(endDateTime) > world.now(),
      })),

    create: async (call) => {
      const endDateTime = new Date(world.now() + durationMs(expires)).toISOString()
      const body = { passwordCredential: { displayName: `keyturn-${call.attempt}`, endDateTime } }
      const { keyId, secretText } = bodyOf(where, await inGraph(call, { path: '/addPassword', body }), madeSchema)
      return { id: keyId, parts: { clientId, keyId, clientSecret: secretText } }
    },

    verify: async (call, { parts: { clientSecret = '' } }) => {
      let token = ''
      for (let login = 1; login <= LOGINS; login++) {
        const answer = await logIn(call, clientSecret)
        const code = entraCode(answer)
        if (code === EXPIRED) return { works: false, sentence: `the secret has expired (AADSTS${code})`, later: false }
        const seen = login === 1 ? 'the login was refused' : `after ${login - 1} that succeeded a login was refused`
        if (answer.status >= 400) return { works: false, sentence: `${seen} (AADSTS${code})`, later: code === UNKNOWN }
        token = tokenOf(where, answer)
      }
      if (api !== undefined) return await askApi(call, api, token)
      return { works: true, sentence: `a token was issued ${LOGINS} times in a row` }
    },

    revoke: async (call, { id }, successor) => {
      assertNotRemaining(where, id, successor)
      if (id === null) throw outside('refused', where, 'the id of the secret is not known. Remove it under "Certificates & secrets"')
      // To remove what is not there is an error, and not always the same one.
      if (isGone(await secrets(call), id)) return
      const { status } = await inGraph(call, { path: '/removePassword', body: { keyId: id }, expect: [400, 404] })
      if (status < 400 || isGone(await secrets(call), id)) return
      throw outside('refused', where, `it answered ${status}, and the secret is still there`)
    },

    adopt: async (call, { keyId = '', clientSecret = '' }) => {
      // By its id, too, the hint has to fit: else, in the end, another one would be removed.
      const found = (await secrets(call)).filter((each) =>
        keyId === ''
          ? isHinted(each, clientSecret)
          : each.keyId.toLowerCase() === keyId.trim().toLowerCase() && (!each.hint || isHinted(each, clientSecret)),
      )
      const [secret] = found
      if (secret !== undefined && found.length === 1) return { id: secret.keyId, parts: { clientId, keyId: secret.keyId, clientSecret } }
      throw outside(
        'refused',
        where,
        `${found.length === 0 ? 'no secret is' : 'several secrets may be'} the one in use. Give its keyId in "first", too`,
      )
    },
  }
}

type Refusal = { readonly error?: { readonly code?: unknown } }

const isGone = (there: readonly Listed[], id: string | null | undefined): boolean =>
  typeof id === 'string' && !there.some(({ keyId }) => keyId === id)
/** Graph shows the first three characters. */
const isHinted = ({ hint }: Listed, clientSecret: string): boolean => (hint?.length ?? 0) >= 3 && clientSecret.startsWith(hint ?? '')
const warning = (sentence: string): Finding => ({ severity: 'warning', sentence })
