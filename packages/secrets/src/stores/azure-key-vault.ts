import { z } from 'zod'
import { bodyOf } from '../outside/body.ts'
import { entraToken } from '../outside/entra-login.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import { type Answer, ask } from '../outside/http.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import type { Store } from '../secret/store.ts'
import { jsonMembers, singleValue } from './document/document.ts'

const vaultName = /^[0-9a-zA-Z-]{1,127}$/

export const options = z.strictObject({
  /** The address of the vault: `https://example.vault.azure.net`. */
  vault: httpUrl,
  /**
   * A secret whose value is a JSON object, with the names as its members: they change together. Unless given, the only name is that of the
   * secret itself.
   */
  secret: z.string().regex(vaultName, { error: 'expected letters, digits and hyphens' }).optional(),
  tenant: z.string().regex(/^[\w.-]+$/, { error: 'expected the id or the domain of a tenant' }),
  /** Who writes: an application with the role "Key Vault Secrets Officer". */
  clientId: z.uuid({ error: 'expected a UUID' }),
  clientSecret: secretRef,
  login: httpUrl.default('https://login.microsoftonline.com'),
  /** Of whom a token is asked for; another one in national clouds. */
  resource: httpUrl.default('https://vault.azure.net'),
})

const secretSchema = z.object({
  value: z.string().optional(),
  id: z.string(),
  contentType: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
})
type Secret = z.infer<typeof secretSchema>

const VERSION = '2025-07-01'

/**
 * A secret of an Azure Key Vault. Each write makes a version, which carries the attempt as the tag `keyturn` and is what readers without a
 * version get at once. Older versions stay, since a vault deletes no single one. A write that meets another one is made again.
 *
 * Needs an application with the role "Key Vault Secrets Officer", or the rights get and set.
 *
 * Facts: Key Vault REST API 2025-07-01; `@azure/keyvault-secrets` 4.12.
 */
export default function azureKeyVault(given: z.infer<typeof options>, world: World): Store {
  const { secret, tenant, clientId, login: authority } = given
  const base = given.vault.replace(/\/+$/, '')
  const where = `the Key Vault ${new URL(base).hostname}`
  const document = secret === undefined ? singleValue(where) : jsonMembers(where)
  const nameOf = (names: readonly string[]): string => secret ?? names[0] ?? ''
  /** Logs in once for the requests of one call. */
  const session = async ({ signal }: Call): Promise<Session> => {
    // The vault could say where to log in. It is not asked: who answers in its place would be sent the login.
    const scope = `${given.resource.replace(/\/+$/, '')}/.default`
    const clientSecret = await world.read(given.clientSecret)
    const headers = { authorization: `Bearer ${await entraToken({ where, authority, tenant, clientId, clientSecret, scope, signal })}` }
    return (name, { body, expect = [] } = {}) => {
      const url = `${base}/secrets/${encodeURIComponent(name)}?api-version=${VERSION}`
      return ask({ where, url, method: body === undefined ? 'GET' : 'PUT', headers, signal, expect, codeOf, ...(body && { body }) })
    }
  }
  /** What a reader gets; null where there is no such secret. @throws refused where its newest version is disabled */
  const newest = async (inVault: Session, name: string): Promise<Secret | null> => {
    const answer = await inVault(name, { expect: [404] })
    return answer.status === 404 ? null : bodyOf(where, answer, secretSchema)
  }
  const looked = async (call: Call, names: readonly string[]) =>
    document.read((await newest(await session(call), nameOf(names)))?.value ?? null, names)
  return {
    provider: 'azure',
    check: (call, names) =>
      findings(async () => {
        if (secret === undefined && names.length > 1)
          return [
            fault('a Key Vault writes one secret at a time. Name a "secret" in the store, so that the names become members of its value'),
          ]
        if (secret === undefined && !vaultName.test(nameOf(names)))
          return [fault(`"${nameOf(names)}" is no name of a secret in a Key Vault: letters, digits and hyphens`)]
        await looked(call, names)
        return []
      }),

    look: looked,

    write: async (call, values) => {
      const name = nameOf(Object.keys(values))
      const inVault = await session(call)
      const before = await newest(inVault, name)
      const text = document.written(before?.value ?? null, values)
      if (before !== null && before.value === text) return { version: versionOf(name, before) }
      const tags = { ...before?.tags, keyturn: call.attempt }
      const contentType = before?.contentType ?? (secret === undefined ? undefined : 'application/json')
      const body = { value: text, tags, ...(contentType !== undefined && { contentType }) }
      const written = bodyOf(where, await inVault(name, { body }), secretSchema)
      // The vault has no write that fails if another came first: whoever finds another version on top does it again.
      const after = await newest(inVault, name)
      if (after?.id !== written.id) throw outside('uncertain', where, `another version of "${name}" was written at the same time`)
      return { version: versionOf(name, written) }
    },
  }
}

type Session = (name: string, ask?: { readonly body?: object; readonly expect?: readonly number[] }) => Promise<Answer>

const fault = (sentence: string): Finding => ({ severity: 'fault', sentence })
const versionOf = (name: string, { id }: Secret): string => `${name}@${id.slice(id.lastIndexOf('/') + 1)}`
const codeOf = (body: unknown): unknown => {
  const { error } = body as { readonly error?: { readonly code?: unknown; readonly innererror?: { readonly code?: unknown } } }
  return error?.innererror?.code ?? error?.code
}
