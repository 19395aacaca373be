import { z } from 'zod'
import { bodyOf } from './body.ts'
import { type Answer, ask } from './http.ts'

/** Who logs in at Entra, and for what. */
export interface EntraLogin {
  /** For messages. */
  readonly where: string
  /** `https://login.microsoftonline.com`, or that of a national cloud. */
  readonly authority: string
  readonly tenant: string
  readonly clientId: string
  readonly clientSecret: string
  /** `https://graph.microsoft.com/.default`. */
  readonly scope: string
  readonly signal: AbortSignal
}

/** A code of Entra that is safe to print: `AADSTS7000215`. */
const codeOf = (body: unknown): string | undefined => {
  const code = (body as { error_codes?: unknown[] }).error_codes?.[0]
  return typeof code === 'number' ? `AADSTS${code}` : undefined
}

/** Logs in as an application, on a connection of its own: each may lead to another replica. Statuses that are expected are answers. */
export function askEntra(login: EntraLogin, expect: readonly number[] = []): Promise<Answer> {
  const { where, authority, tenant, clientId, clientSecret, scope, signal } = login
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope })
  const url = `${authority.replace(/\/+$/, '')}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`
  return ask({ where, url, method: 'POST', body, headers: { connection: 'close' }, signal, expect, codeOf })
}

/** A token for what `scope` names. @throws refused where the login is wrong */
export async function entraToken(login: EntraLogin): Promise<string> {
  return tokenOf(login.where, await askEntra(login))
}

export function tokenOf(where: string, answer: Answer): string {
  return bodyOf(where, answer, z.object({ access_token: z.string() })).access_token
}

/** The code of a refusal, such as 7000215; 0 where there is none. */
export function entraCode({ body }: Answer): number {
  const code = (body as { error_codes?: unknown[] } | null)?.error_codes?.[0]
  return typeof code === 'number' ? code : 0
}
